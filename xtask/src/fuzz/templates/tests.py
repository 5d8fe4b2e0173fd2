# Templates of tests: each starts after a line with its name. `NN` makes names unique, `KK` is a small number that an edit may change.
#% passes or fails by the library
def test_plain_NN(): assert lib.value() >= KK
#% compares with the library
def test_equal_NN(): assert lib.other() == KK
#% long comparison
def test_compare_NN():
    left = {'a': [1, 2, KK], 'text': 'one\ntwo\nthree', 'é': None}
    assert left == {'a': [1, 2, 3], 'text': 'one\n2\nthree', 'é': ()}
#% message of an assertion
def test_message_NN():
    assert lib.value() == 9, f'the value is {lib.value()} and not nine: ünïcode'
#% chained exceptions
def test_chain_NN():
    try:
        lib.value()['x']
    except TypeError as error:
        raise ValueError('outer KK') from error
#% recursion
def test_recursion_NN():
    def down(n): return down(n - 1) if n else 1 / 0
    down(KK)
#% exception group
def test_group_NN():
    raise ExceptionGroup('several', [ValueError('KK'), TypeError('b')])
#% exception that can't be shown
class Odd_NN(Exception):
    def __str__(self): raise RuntimeError('no text')
def test_odd_NN():
    raise Odd_NN(KK)
#% raises and matches
def test_raises_NN():
    with pytest.raises(ValueError, match='KK'):
        raise ValueError('number 1')
#% does not raise
def test_silent_NN():
    with pytest.raises(ZeroDivisionError):
        1 / (lib.value() + 1)
#% approx
def test_approx_NN(): assert 0.1 + 0.2 == pytest.approx(0.3 + KK)
#% capsys
def test_capsys_NN(capsys):
    print('out KK')
    assert capsys.readouterr().out == 'out KK\n'
#% capfd
def test_capfd_NN(capfd):
    os.write(1, b'low KK\n')
    assert capfd.readouterr().out == 'low 2\n'
#% output before a failure
def test_prints_NN():
    print('shown KK')
    print('to stderr', file=sys.stderr)
    os.write(2, b'low level\n')
    assert KK == 9
#% output of a test that passes
def test_prints_quietly_NN():
    print('never shown KK')
#% logging before a failure
def test_logs_NN():
    logging.getLogger('sample').warning('logged %d', KK)
    logging.getLogger('sample').debug('too quiet')
    assert lib.value() == 9
#% caplog
def test_caplog_NN(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger('sample').info('n=%s', lib.value())
    assert caplog.messages == ['n=KK']
#% tmp_path
def test_path_NN(tmp_path):
    (tmp_path / 'x').write_text('KK')
    assert (tmp_path / 'x').read_text() == '1', tmp_path.name
#% tmp_path_factory
def test_factory_NN(request):
    folder = request.getfixturevalue('tmp_path_factory').mktemp('data')
    assert sorted(os.listdir(folder)) == ['x'] * KK
#% monkeypatch
def test_patch_NN(monkeypatch):
    monkeypatch.setattr(lib, 'value', lambda: 40)
    assert lib.value() == 40
#% monkeypatch of the environment
def test_environment_NN(monkeypatch):
    monkeypatch.setenv('SAMPLE_OWN', 'KK')
    assert os.environ['SAMPLE_OWN'] == '2'
#% monkeypatch of the working directory
def test_chdir_NN(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert os.listdir('.') == []
#% record_property
def test_property_NN(record_property):
    record_property('level', KK)
    assert lib.value() < 2
#% record_testsuite_property
def test_suite_property_NN(record_testsuite_property):
    record_testsuite_property('suite', KK)
#% parametrize
@pytest.mark.parametrize('x', [1, 2, KK])
def test_many_NN(x): assert x != 2
#% parametrize with ids
@pytest.mark.parametrize('x', [1, KK, None], ids=['one', 'è [x]', None])
def test_named_NN(x): assert x
#% parametrize with an id function
@pytest.mark.parametrize('x', [(1, 2), (KK, 3)], ids=lambda pair: '-'.join(map(str, pair)))
def test_id_function_NN(x): assert sum(x) > 3
#% params with marks
@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.xfail(reason='first')), pytest.param(2, marks=pytest.mark.skip(reason='second'), id='sécond'), pytest.param(KK, marks=pytest.mark.slow)])
def test_param_marks_NN(x): assert x == KK
#% ids with unicode
@pytest.mark.parametrize('x', ['a', 'é', 'a b', 'x::y', 'n\nl', '', b'\xff', '日本'])
@pytest.mark.parametrize('y', [None, 1.5, KK])
def test_ids_NN(x, y): assert y is None or x
#% same ids
@pytest.mark.parametrize('x', ['a', 'a', 'b'])
def test_same_ids_NN(x): assert x == 'a' or KK
#% no parameters
@pytest.mark.parametrize('x', [][:KK])
def test_empty_NN(x): pass
#% indirect
@pytest.mark.parametrize('base', [1, 2, KK], indirect=True)
def test_indirect_NN(base): assert base > 1
#% partly indirect
@pytest.mark.parametrize('base, y', [(1, KK), (2, 3)], indirect=['base'])
def test_partly_indirect_NN(base, y): assert base < y
#% a scope for parameters
@pytest.mark.parametrize('x', [1, KK, 3], scope='module')
def test_scoped_NN(x): assert x < 3
def test_scoped_again_NN(base): assert base
#% overridden by a parameter
@pytest.mark.parametrize('base', [0, KK])
def test_overridden_NN(base): assert base
#% skip mark
@pytest.mark.skip(reason='not now KK')
def test_skipped_NN(): assert 0
#% skipif
@pytest.mark.skipif(lib.value() > KK, reason='too big')
def test_skipped_if_NN(): assert 0
#% skipif with a string
@pytest.mark.skipif('sys.version_info > (2, KK)', reason='a new Python')
def test_skipped_text_NN(): assert 0
#% skipif that is wrong
@pytest.mark.skipif('no_such_name', reason='wrong')
def test_skipped_wrong_NN(): assert KK
#% skip inside
def test_skips_itself_NN():
    if lib.value() != KK:
        pytest.skip('inside')
#% importorskip
def test_importorskip_NN(): pytest.importorskip('no_such_module_NN', reason='is missing')
#% xfail
@pytest.mark.xfail(reason='known')
def test_xfail_NN(): assert lib.value() == KK
#% strict xfail
@pytest.mark.xfail(strict=True, reason='must fail')
def test_strict_NN(): assert lib.value() > KK
#% xfail with raises
@pytest.mark.xfail(raises=ValueError)
def test_xfail_raises_NN(): raise (ValueError if lib.value() > KK else KeyError)('x')
#% xfail with a condition
@pytest.mark.xfail(lib.value() > KK, reason='sometimes')
def test_xfail_if_NN(): assert lib.other() == 1
#% xfail without a run
@pytest.mark.xfail(run=False, reason='crashes')
def test_not_run_NN(): pytest.fail('was run KK')
#% xfail inside
def test_xfails_itself_NN():
    if lib.value() > KK:
        pytest.xfail('inside')
#% xfail applied by the test
def test_applies_NN(request):
    request.applymarker(pytest.mark.xfail(reason='applied'))
    assert lib.value() == KK
#% xfail added to the node
def test_adds_NN(request):
    request.node.add_marker(pytest.mark.xfail(reason='added', strict=True))
    assert lib.value() == KK
#% fail
def test_pytest_fail_NN():
    pytest.fail('by hand KK', pytrace=KK > 1)
#% fixture of the conftest
def test_base_NN(base): assert base
#% wide fixture
def test_wide_NN(wide, base): assert wide is not None
#% fixture that fails late
def test_late_NN(late): assert KK < 3
#% fixture that is broken
def test_broken_NN(broken): pass
#% module fixture that fails late
@pytest.fixture(scope='module')
def last_NN():
    yield KK
    assert KK == 1, 'late in the module'
def test_last_one_NN(last_NN): assert last_NN
def test_last_two_NN(last_NN): pass
def test_after_last_NN(): pass
#% module fixture that lives
@pytest.fixture(scope='module')
def alive_NN():
    state = {'alive': True}
    yield state
    state['alive'] = False
KEPT_NN = []
def test_alive_one_NN(alive_NN): KEPT_NN.append(alive_NN)
def test_alive_two_NN(alive_NN): assert all(one['alive'] for one in KEPT_NN) and len({id(one) for one in KEPT_NN}) <= 1
#% module fixture that ends
@pytest.fixture(scope='class')
def open_NN():
    state = ['open']
    yield state
    state.clear()
HELD_NN = []
class TestOpen_NN:
    def test_one(self, open_NN): HELD_NN.append(open_NN)
def test_ended_NN(): assert not any(HELD_NN)
#% order of teardown
ORDER_NN = []
@pytest.fixture
def outer_NN():
    yield
    ORDER_NN.append('outer')
    assert ORDER_NN == ['finalizer', 'inner', 'outer'], ORDER_NN
@pytest.fixture
def inner_NN(outer_NN, request):
    ORDER_NN.clear()
    yield
    ORDER_NN.append('inner')
def test_order_NN(inner_NN, request):
    request.addfinalizer(lambda: ORDER_NN.append('finalizer'))
    assert KK < 3
#% order of setup
SET_UP_NN = []
@pytest.fixture(autouse=True, scope='module')
def module_wide_NN(): SET_UP_NN.append('module')
@pytest.fixture(autouse=True)
def for_each_NN(module_wide_NN):
    SET_UP_NN[1:] = ['each']
def test_set_up_NN(): assert SET_UP_NN == ['module', 'each'] or KK == 0
#% two failures of a teardown
def test_two_late_NN(request):
    def fails(text): raise RuntimeError(text)
    request.addfinalizer(lambda: fails('one KK'))
    request.addfinalizer(lambda: fails('two'))
#% failure and late failure
def test_both_NN(late, request):
    def fails(): raise RuntimeError('finalizer')
    request.addfinalizer(fails)
    print('in call')
    assert lib.value() == 9
#% fixture by name
def test_dynamic_NN(request): assert request.getfixturevalue('base') > KK
#% fixture that is missing
def test_no_fixture_NN(no_such_fixture_NN): pass
#% fixture by a missing name
def test_no_name_NN(request): request.getfixturevalue('no_such_KK')
#% scope mismatch
@pytest.fixture(scope='session')
def too_wide_NN(tmp_path, monkeypatch): return KK
def test_mismatch_NN(too_wide_NN): pass
#% usefixtures mark
@pytest.mark.usefixtures('late', 'wide')
def test_uses_NN(): assert KK
#% own fixture overrides
@pytest.fixture
def base(base): return base + KK
def test_override_NN(base): assert base == 2
#% parametrised fixture
@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.xfail), pytest.param(3, id='drei')], scope='SCOPE')
def several_NN(request): return request.param
def test_several_NN(several_NN): assert several_NN != KK
#% fixture that skips
@pytest.fixture
def unwilling_NN(): pytest.skip('fixture KK')
def test_unwilling_NN(unwilling_NN): pass
#% fixture that expects a failure
@pytest.fixture
def doubtful_NN(request):
    print('in a fixture')
    if KK > 1: pytest.xfail('by fixture')
def test_doubtful_NN(doubtful_NN): assert lib.value() == 9
#% fixture with two yields
@pytest.fixture
def twice_NN():
    yield 1
    if KK: yield 2
def test_twice_NN(twice_NN): pass
#% fixture with output
@pytest.fixture
def noisy_NN():
    print('set up KK')
    yield
    print('torn down')
    logging.getLogger('sample').error('late log')
def test_noisy_NN(noisy_NN): assert lib.value() == 9
#% fixture that fails late after output
@pytest.fixture
def noisy_late_NN():
    yield
    print('torn down KK')
    raise OSError('late')
def test_noisy_late_NN(noisy_late_NN):
    print('called')
#% fixture that is called
@pytest.fixture
def called_NN(): return KK
def test_called_NN(): assert called_NN() == 1
#% warns
def test_warns_NN():
    warnings.warn('careful KK')
    assert lib.value() is not None
#% deprecated
def test_deprecated_NN():
    warnings.warn('old KK', DeprecationWarning, stacklevel=2)
#% warns and fails
def test_warns_and_fails_NN():
    for n in range(KK + 1): warnings.warn(f'number {n}', RuntimeWarning)
    assert lib.value() == 9
#% fixture that warns
@pytest.fixture
def warning_NN():
    warnings.warn('before KK')
    yield
    warnings.warn('after')
def test_warned_NN(warning_NN): pass
#% filterwarnings mark
@pytest.mark.filterwarnings('error:nota')
def test_filtered_NN(): warnings.warn('nota KK')
#% expects a warning
def test_pytest_warns_NN():
    with pytest.warns(UserWarning, match='KK'):
        warnings.warn('one 1')
#% returns something
def test_returns_NN(): return KK
#% unknown mark
@pytest.mark.no_such_mark
def test_marked_NN(): assert KK
#% slow mark
@pytest.mark.slow
def test_slow_NN(): assert lib.value() != KK
#% async
async def test_async_NN(): assert KK
#% generated
def pytest_generate_tests(metafunc):
    if 'generated' in metafunc.fixturenames:
        metafunc.parametrize('generated', range(KK + 1))
def test_generated_NN(generated): assert generated < 2
#% generator of a test
def test_yields_NN():
    yield KK
#% doctest
def documented_NN():
    """
    >>> print('one'); 1 + KK
    one
    3
    """
#% name of the worker
def test_name_NN(request): assert request.node.name == 'test_name_NN' and request.node.path.name.startswith('test')
#% traceback hidden
def check_NN(value):
    __tracebackhide__ = True
    if value != 9: pytest.fail(f'not nine: {value}')
def test_hidden_NN(): check_NN(KK)
#% exits of Python
def test_exits_NN(): sys.exit(KK)
#% odd names
def test_ünïcode_NN(): assert KK
def testNN(): pass
#% imported test
from imported_tests import test_of_others as test_others_NN
#% local and unhandled
def test_unraisable_NN():
    class Bad:
        def __del__(self): raise ValueError('KK')
    bad = Bad()
    del bad
#% a fixture leaves an object whose finalizer fails
@pytest.fixture
def leaves_NN():
    class Left:
        def __del__(self): raise ValueError('left KK')
    if KK > 1: Left()
    yield
    Left()
def test_leaves_NN(leaves_NN): assert lib.value() < 3
def test_left_nothing_NN(): pass
#% a thread fails while a fixture is torn down
@pytest.fixture
def starts_NN():
    import threading
    class Left:
        def __del__(self): raise ValueError('left KK')
    def fails(): raise ValueError('in a late thread KK')
    yield
    thread = threading.Thread(target=fails, name='late')
    thread.start()
    thread.join()
    if KK > 1: Left()
def test_starts_NN(starts_NN): pass
@pytest.mark.parametrize('x', [1, KK])
def test_started_nothing_NN(x): pass
#% a coroutine that nobody awaits
@pytest.fixture
def forgets_NN():
    async def forgotten(): pass
    yield forgotten
    forgotten()
def test_forgets_NN(forgets_NN): forgets_NN() if KK > 1 else None
#% a thread fails
def test_thread_NN():
    import threading
    def fails(): raise ValueError('in a thread KK')
    thread = threading.Thread(target=fails, name='worker')
    thread.start()
    thread.join()
#% doctest in a class
class Documented_NN:
    """
    >>> Documented_NN.level
    KK
    """
    level = 1
#% sub-tests
def test_subtests_NN(subtests):
    for i in range(3):
        with subtests.test(msg='part', i=i):
            print('part', i)
            assert i != KK
