# Templates for conftests: hooks.
#% hook that adds marks
def pytest_collection_modifyitems(items):
    for item in items:
        if item.name.endswith('KK'):
            item.add_marker(pytest.mark.xfail(reason='by hook'))
#% hook that turns the order
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.nodeid.split('::')[0], KK > 1 and len(item.name), item.name))
#% hook that deselects
def pytest_collection_modifyitems(config, items):
    gone = [item for item in items if item.name.endswith('KK') or 'print' in item.name]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
#% hook that skips by mark
def pytest_collection_modifyitems(items):
    for item in items:
        if 'slow' in item.keywords or item.get_closest_marker('skipif'):
            item.add_marker(pytest.mark.skip(reason='slow KK'))
#% hook before a set-up
def pytest_runtest_setup(item):
    if item.name.startswith('test_equal') and KK == 2:
        pytest.skip('by hook')
#% hook before a set-up that fails
def pytest_runtest_setup(item):
    if 'plain' in item.name: raise RuntimeError('hook KK')
#% hook around a call
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    print('around', KK)
    yield
    print('after')
#% hook before a teardown that fails
def pytest_runtest_teardown(item, nextitem):
    if 'plain' in item.name: raise RuntimeError('teardown hook KK')
#% hook that writes properties
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().user_properties.append(('n', 'KK'))
#% hook that writes sections
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == 'call':
        report.sections.append(('Own section', f'about {item.name} KK'))
    return report
#% hook that turns outcomes
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == 'call' and 'equal' in item.name:
        report.outcome = 'passed' if report.failed and KK > 1 else report.outcome
    return report
#% hook that rewrites failures
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and KK > 1:
        report.longrepr = f'only this of {item.name}'
    return report
#% hook that ignores
def pytest_ignore_collect(collection_path):
    return True if collection_path.name.startswith('test_KK') else None
#% ignored files
collect_ignore = ['test_ignored_KK.py']
collect_ignore_glob = ['test_KK*']
#% hook for items
def pytest_itemcollected(item):
    if 'level' in item.name: item.add_marker(pytest.mark.skip(reason='at collection KK'))
#% hook that generates
def pytest_generate_tests(metafunc):
    if 'wide' in metafunc.fixturenames and 'base' in metafunc.fixturenames:
        metafunc.parametrize('wide', ['g', KK], indirect=False)
#% hooks for the terminal
def pytest_report_header(config): return 'header KK'
def pytest_terminal_summary(terminalreporter): terminalreporter.write_line('summary KK')
def pytest_report_teststatus(report):
    if report.when == 'call' and report.passed and KK > 2: return 'passed', 'P', 'FINE'
#% hook that configures
def pytest_configure(config):
    config.addinivalue_line('markers', 'hooked: by hook')
    config.addinivalue_line('filterwarnings', 'ignore:careful KK')
#% hook with an option
def pytest_addoption(parser):
    parser.addoption('--sample-KK', action='store_true', default=False)
#% hook for comparisons
def pytest_assertrepr_compare(op, left, right):
    if isinstance(left, int) and op == '==': return [f'{left} is not {right}', 'KK']
#% hook for parameters
def pytest_make_parametrize_id(config, val, argname):
    return f'{argname}={val}' if isinstance(val, int) and KK > 1 else None
#% hook for fixtures
@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef, request):
    yield
    if fixturedef.argname == 'late' and KK == 2: raise RuntimeError('fixture hook')
#% hook around the protocol
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    item.user_properties.append(('protocol', KK))
    yield
#% hook that handles reports
def pytest_runtest_logreport(report):
    LOG.append(report.outcome)
#% hook for the collection of a file
def pytest_collect_file(file_path, parent):
    if file_path.suffix == '.sample' and KK < 3: return SampleFile.from_parent(parent, path=file_path)
class SampleFile(pytest.File):
    def collect(self):
        for number, line in enumerate(self.path.read_text().split()):
            yield SampleItem.from_parent(self, name=f'{number} {line}')
class SampleItem(pytest.Item):
    def runtest(self): assert self.name.split()[1] != 'KK'
    def repr_failure(self, excinfo): return f'line {self.name} is KK'
    def reportinfo(self): return self.path, 0, self.name
#% hook that changes ids
def pytest_itemcollected(item):
    if KK > 1: item._nodeid += '@KK'
#% hook for calls of Python functions
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if 'compare' in pyfuncitem.name: pytest.skip('not called KK')
#% hook at the end of the session
def pytest_sessionfinish(session, exitstatus):
    if KK == 3 and exitstatus == 1: session.exitstatus = exitstatus
#% warning of a conftest
warnings.warn('conftest KK')
