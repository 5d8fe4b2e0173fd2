# Templates for conftests: fixtures.
#% fixture of some scope
@pytest.fixture(scope='SCOPE')
def base(request): return getattr(request, 'param', KK)
#% parametrised fixture of some scope
@pytest.fixture(scope='SCOPE', params=[0, KK], ids=['p0', 'p1'])
def wide(request): return request.param
#% fixture of some scope with teardown
@pytest.fixture(scope='SCOPE')
def wide():
    state = [KK]
    yield state
    state.clear()
#% module fixture that fails at its end
@pytest.fixture(scope='module')
def wide():
    yield KK
    assert KK != 2
#% class fixture that fails at its end
@pytest.fixture(scope='class')
def wide(request):
    def check(): assert KK != 1, request.scope
    request.addfinalizer(check)
    return KK
#% fixture that fails late in a conftest
@pytest.fixture
def late():
    yield
    raise RuntimeError('late KK')
#% fixture that extends another
@pytest.fixture
def base(base): return base + KK
#% autouse fixture
@pytest.fixture(autouse=True, scope='SCOPE')
def automatic(request):
    LOG.append('SCOPE')
    yield
    LOG.append('KK')
#% autouse fixture that changes a variable
@pytest.fixture(autouse=True)
def variable(monkeypatch): monkeypatch.setenv('SAMPLE_B', 'KK')
#% autouse fixture that changes the library
@pytest.fixture(autouse=True)
def patched(monkeypatch):
    import lib0
    monkeypatch.setattr(lib0, 'value', lambda: KK)
#% autouse fixture that skips
@pytest.fixture(autouse=True)
def picky(request):
    if 'equal' in request.node.name and KK > 1: pytest.skip('autouse skips')
#% broken fixture
@pytest.fixture(scope='SCOPE')
def broken(): raise RuntimeError('broken KK')
#% fixture with a finalizer
@pytest.fixture
def late(request):
    request.addfinalizer(lambda: None)
    return KK
#% finalizer that prints and fails
@pytest.fixture
def late(request):
    def end():
        print('finalizer KK')
        raise KeyError('end')
    request.addfinalizer(end)
#% fixture that warns in a conftest
@pytest.fixture
def late():
    warnings.warn('from a conftest KK')
    yield
#% fixture by another name
@pytest.fixture(name='base')
def _base(request): return getattr(request, 'param', KK)
#% factory
@pytest.fixture
def wide(tmp_path, request):
    (tmp_path / 'w').write_text('KK')
    return request.getfixturevalue('base')
#% fixture that reads
@pytest.fixture(scope='module')
def base(request):
    return getattr(request, 'param', int((pathlib.Path(__file__).parent / 'data.txt').read_text()))
#% fixture that uses the library
@pytest.fixture
def base(request):
    import lib1
    return getattr(request, 'param', lib1.value() + KK)
