import dx_py_test_runner as dx
import warehouse


def test_report():
    dx.snapshot(warehouse.report())


def test_delivery_without_its_time():
    dx.snapshot(warehouse.delivery(3), redact=["printed"])


def test_labels(dx_snapshot):
    for item in warehouse.SHELVES["B7"]:
        dx_snapshot(warehouse.label(item), name=item.name)


def test_first_line():
    dx.snapshot(warehouse.report().splitlines()[0], inline="shelf  item      count")
