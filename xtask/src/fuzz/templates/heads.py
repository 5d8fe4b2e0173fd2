# Templates of lines below the imports of a test file: they say something of the whole file.
#% pytestmark xfail
pytestmark = pytest.mark.xfail(reason='module')
#% pytestmark usefixtures
pytestmark = [pytest.mark.usefixtures('base'), pytest.mark.slow]
#% pytestmark skipif
pytestmark = pytest.mark.skipif(lib.value() > KK, reason='whole module')
#% pytestmark filterwarnings
pytestmark = pytest.mark.filterwarnings('error')
#% importorskip of a module
pytest.importorskip('no_such_module')
#% module skips itself
pytest.skip('the whole module', allow_module_level=True)
#% module skips itself without leave
pytest.skip('not allowed')
#% import error
import no_such_module_at_all
#% import error after output
print('printed before')
print('and to stderr', file=sys.stderr)
import no_such_module_at_all
#% exception when imported
raise ValueError('while importing KK')
#% syntax error
def broken(:
#% assertion when imported
assert lib.value() != KK, 'at import'
#% output when imported
print('imported')
#% warning when imported
warnings.warn('imported KK')
#% deprecation when imported
warnings.warn('old module', DeprecationWarning)
#% unittest skip of a module
raise unittest.SkipTest('as unittest does KK')
#% undefined fixture mark
pytestmark = pytest.mark.usefixtures('no_such_fixture_at_all')
#% fixtures of a module
@pytest.fixture(autouse=True, scope='module')
def whole_file(): yield KK
#% wrong parameters
@pytest.mark.parametrize('x, y', [(1, 2), (KK,)])
def test_wrong_parameters(x, y): pass
#% unknown argument of parametrize
@pytest.mark.parametrize('unknown', [1])
def test_unknown_argument(): pass
#% doctest of a module
__doc__ = """
>>> 1 + 1
KK
"""
