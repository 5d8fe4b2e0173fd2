# Templates of classes and of set-up functions in xunit's style.
#% classes with inheritance
class TestBase_NN:
    level = KK
    @pytest.fixture
    def own(self): return self.level
    def test_own(self, own): assert own == self.level
    def test_level(self): assert self.level < 3
class TestDerived_NN(TestBase_NN):
    level = 2
    def test_more(self, own, base): assert own == KK
    def test_level(self): assert super().test_level() is None
#% mixins
class Mixin_NN:
    @pytest.mark.slow
    def test_mixed(self): assert self.level == KK
    @pytest.mark.parametrize('x', [1, 2])
    def test_mixed_many(self, x): assert x <= self.level
class TestMixed_NN(Mixin_NN):
    level = 1
@pytest.mark.xfail(reason='the other one')
class TestMixedToo_NN(Mixin_NN):
    level = KK
#% nested classes
class TestOuter_NN:
    @pytest.fixture(autouse=True)
    def prepared(self): self.x = KK
    class TestInner:
        @pytest.fixture
        def base(self, base): return base * 2
        def test_inner(self, base): assert base
        class TestInnermost:
            pytestmark = pytest.mark.skip(reason='too deep')
            def test_deep(self): assert 0
    def test_outer(self): assert self.x == 1
#% parametrised class
@pytest.mark.parametrize('a', [1, KK])
class TestMany_NN:
    def test_a(self, a): assert a
    @pytest.mark.parametrize('b', ['x', 'y'])
    def test_b(self, a, b): assert a < 3
#% class with pytestmark
class TestMarked_NN:
    pytestmark = [pytest.mark.xfail(reason='class KK'), pytest.mark.usefixtures('base')]
    def test_1(self): assert 0
    def test_2(self): pass
#% class that overrides a fixture
@pytest.fixture
def local_NN(): return 'module'
class TestOverrides_NN:
    @pytest.fixture
    def local_NN(self, local_NN): return local_NN + ' class KK'
    def test_class(self, local_NN): assert local_NN == 'module class 1'
def test_module_NN(local_NN): assert local_NN == 'module'
#% class fixture
MADE_NN = []
@pytest.fixture(scope='class')
def shared_NN():
    MADE_NN.append(1)
    yield len(MADE_NN)
    assert KK != 2, 'late in the class'
class TestClassFixture_NN:
    def test_1(self, shared_NN): assert shared_NN == 1
    def test_2(self, shared_NN): assert shared_NN == 1
#% autouse in a class
class TestAuto_NN:
    @pytest.fixture(autouse=True, scope='class')
    @classmethod
    def wide_one(cls):
        cls.log = []
        yield
        del cls.log
    @pytest.fixture(autouse=True)
    def each(self): self.ready = KK
    def test_1(self): assert self.ready and self.log == []
    def test_2(self): assert self.ready < 3
#% setup_method and the like
class TestSetup_NN:
    @classmethod
    def setup_class(cls): cls.seen = []
    @classmethod
    def teardown_class(cls): assert cls.seen is not None
    def setup_method(self): self.seen.append(KK)
    def teardown_method(self): assert self.fewer_than(3)
    def fewer_than(self, n): return len(self.seen) < n
    def test_1(self): assert not self.fewer_than(1)
    def test_2(self): assert self.fewer_than(3)
    def test_3(self): pass
#% setup_method that fails
class TestBadSetup_NN:
    def setup_method(self, method):
        print('about to set up', method.__name__)
        assert lib.value() == KK
    def teardown_method(self): print('not reached')
    def test_1(self): pass
#% setup_class that fails
class TestBadClass_NN:
    @classmethod
    def setup_class(cls): assert lib.value() > KK
    def test_1(self): pass
    def test_2(self): pass
#% teardown_class that fails
class TestBadEnd_NN:
    def teardown_class(self): assert lib.value() > KK
    def test_1(self): pass
    def test_2(self): pass
#% setup_module
def setup_module(module): module.READY = KK
def teardown_module(): assert READY < 3
def test_ready_NN(): assert READY
#% setup_function
def setup_function(function): function.ready = KK
def teardown_function(function):
    if KK == 3: raise RuntimeError('late')
def test_function_NN(): assert test_function_NN.ready != 1
#% class with a constructor
class TestInit_NN:
    def __init__(self): self.x = KK
    def test_x(self): assert self.x
#% static methods
class TestStatic_NN:
    @staticmethod
    def test_static(): assert KK
    @classmethod
    def test_class(cls): assert cls.__name__ == 'TestStatic_NN'
#% dataclass and abstract
class TestHidden_NN:
    __test__ = KK > 1
    def test_hidden(self): pass
#% unittest
class Unit_NN(unittest.TestCase):
    def setUp(self): self.x = KK
    def test_x(self): self.assertLess(self.x, 3)
    def test_equal(self): self.assertEqual({'x': self.x}, {'x': 1}, 'with a message')
    @unittest.expectedFailure
    def test_expected(self): self.assertEqual(self.x, -1)
    @unittest.expectedFailure
    def test_unexpected(self): self.assertEqual(self.x, 1)
    @unittest.skip('no')
    def test_skip(self): pass
    @unittest.skipIf(lib.value() > KK, 'too big')
    def test_skip_if(self): self.fail('by hand')
    def test_skips_itself(self): self.skipTest('inside')
#% sub-tests of unittest
class Sub_NN(unittest.TestCase):
    def test_sub(self):
        for i in range(3):
            with self.subTest('part', i=i):
                self.assertNotEqual(i, KK)
#% setUpClass and clean-ups
class Cleaned_NN(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = []
        cls.addClassCleanup(cls.shared.append, 'class')
    @classmethod
    def tearDownClass(cls): cls.shared = None
    def setUp(self):
        self.addCleanup(self.check, 'x')
        print('unit set-up')
    def check(self, text): self.assertTrue(KK != 2, text)
    def tearDown(self): self.assertIsNotNone(self.shared)
    def test_1(self): self.assertEqual(self.shared, [])
    def test_2(self):
        print('unit call')
        self.assertEqual(lib.value(), 9)
#% setUpClass that fails
class Unready_NN(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if lib.value() > KK: raise unittest.SkipTest('class skipped')
        raise ValueError('class broken')
    def test_1(self): pass
    def test_2(self): pass
#% unittest with fixtures
@pytest.mark.usefixtures('base')
class UnitFixtures_NN(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def prepared(self, base): self.base = base
    def test_base(self): self.assertGreater(self.base, KK)
    @pytest.mark.xfail(reason='in a unit')
    def test_xfail(self): self.fail('x')
    @pytest.mark.skip(reason='in a unit')
    def test_skip(self): pass
#% unittest async
class Async_NN(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self): self.x = KK
    async def test_x(self): self.assertTrue(self.x)
    async def test_fails(self):
        print('in a coroutine')
        self.assertEqual(self.x, 9)
#% setUpModule
def setUpModule():
    global PREPARED
    PREPARED = KK
def tearDownModule(): pass
class Prepared_NN(unittest.TestCase):
    def test_prepared(self): self.assertEqual(PREPARED, 1)
#% warnings of unittest
class Warned_NN(unittest.TestCase):
    def test_warned(self):
        with self.assertWarns(UserWarning): warnings.warn('expected')
        warnings.warn('unexpected KK')
