import dx_py_test_runner as dx
import warehouse


@dx.fixture(scope="session", cache=True)
def index():
    return warehouse.index()


@dx.fixture(scope="module", cache=True, params=["A1", "B7"])
def shelf(request):
    return [item.name for item in warehouse.SHELVES[request.param]]
