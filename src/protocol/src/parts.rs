//! The larger parts of reports, item by item.

use std::time::Duration;

use dx_py_core::{AssertionStats, Phase, PhaseReport, TestId, TestResult, TestStatus};

use crate::ProtocolError;
use crate::alike::{self, End};
use crate::codec::{Reader, Writer};
use crate::message::TestResultMessage;
use crate::payload::CollectedItem;

/// Whole nanoseconds, as the header holds them.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads a file's tests: those that are told one by one, and those that are alike; in the order of the session.
pub(crate) fn read_items(data: &mut Reader<'_>) -> Result<Vec<CollectedItem>, ProtocolError> {
    let mut items = data.list(read_item)?;
    let alike = data.list(alike::read)?;
    if !alike.is_empty() {
        items.extend(alike.into_iter().flatten());
        items.sort_by_key(|item| item.place);
    }
    Ok(items)
}

/// Writes a file's tests one by one.
pub(crate) fn write_items(out: &mut Writer, items: &[CollectedItem]) {
    out.list(items, write_item).u32(0);
}

/// Reads a collected item.
fn read_item(data: &mut Reader<'_>) -> Result<CollectedItem, ProtocolError> {
    let (id, function, class_name) = (data.str()?, data.str()?, data.str()?);
    let (line, place) = (data.u32()?, data.u32()?);
    let keywords = data.strs()?;
    let End {
        markers,
        is_bound,
        shared_fixtures,
        bonds,
    } = End::read(data)?;
    Ok(CollectedItem {
        id,
        function,
        class_name,
        line,
        place,
        keywords,
        markers,
        is_bound,
        shared_fixtures,
        bonds,
    })
}

/// Writes a collected item.
fn write_item(out: &mut Writer, item: &CollectedItem) {
    out.str(&item.id).str(&item.function).str(&item.class_name);
    out.u32(item.line).u32(item.place).strs(&item.keywords);
    out.list(&item.markers, |out, marker| {
        out.str(&marker.name)
            .strs(&marker.args)
            .pairs(&marker.kwargs);
    });
    out.u8(u8::from(item.is_bound));
    out.strs(&item.shared_fixtures).strs(&item.bonds);
}

/// Reads the result of a test, whose status, and the time from its start to its end, are in the header.
pub(crate) fn read_result(
    header: &TestResultMessage,
    data: &mut Reader<'_>,
) -> Result<TestResult, ProtocolError> {
    let id = TestId::new(data.str()?);
    let mut phases = [Duration::ZERO; 3];
    for phase in &mut phases {
        *phase = Duration::from_nanos(data.u64()?);
    }
    Ok(TestResult {
        id,
        status: header.test_status()?,
        duration: phases.iter().sum(),
        elapsed: Duration::from_nanos(header.duration_ns),
        phases,
        reports: data.list(|data| {
            let (phase, status) = (data.u8()?, data.u8()?);
            Ok(PhaseReport {
                phase: Phase::from_code(phase).ok_or(ProtocolError::Phase(phase))?,
                status: TestStatus::from_code(status).ok_or(ProtocolError::Status(status))?,
                message: data.str()?,
                text: data.str()?,
            })
        })?,
        sections: data.pairs()?,
        properties: data.pairs()?,
        assertions: AssertionStats {
            passed: data.u32()?,
            failed: data.u32()?,
        },
        worker: 0,
        second_opinion: false,
        raw: data.blob()?,
    })
}

/// Writes the result of a test.
pub(crate) fn write_result(out: &mut Writer, result: &TestResult) {
    out.str(result.id.as_str());
    for phase in result.phases {
        out.u64(nanoseconds(phase));
    }
    out.list(&result.reports, |out, report| {
        out.u8(report.phase as u8).u8(report.status.code());
        out.str(&report.message).str(&report.text);
    });
    out.pairs(&result.sections).pairs(&result.properties);
    out.u32(result.assertions.passed)
        .u32(result.assertions.failed)
        .blob(&result.raw);
}
