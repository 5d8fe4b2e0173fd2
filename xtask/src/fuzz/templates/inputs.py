# Templates of tests that depend on something outside of their source: edits change it.
#% reads a file
def test_file_NN():
    with open(os.path.join(HERE, 'data.txt')) as f:
        assert f.read().strip() == 'KK'
#% reads a file when imported
with open(os.path.join(HERE, 'data.txt')) as f: DATA_NN = f.read()
def test_data_NN(): assert DATA_NN.strip() != 'KK'
#% reads by pathlib
def test_pathlib_NN(): assert int(pathlib.Path(HERE, 'data.txt').read_text()) >= KK
#% reads in a fixture
@pytest.fixture(scope='module')
def content_NN(): return pathlib.Path(HERE, 'data.txt').read_text()
def test_content_NN(content_NN): assert content_NN != 'KK'
def test_content_again_NN(content_NN): assert len(content_NN) == 1
#% probes a path
def test_exists_NN(): assert not os.path.exists(os.path.join(HERE, 'flag.txt'))
#% probes a folder
def test_is_dir_NN(): assert pathlib.Path(HERE, 'extra').is_dir() == (KK > 1)
#% probes and reads
def test_maybe_NN():
    try:
        text = open(os.path.join(HERE, 'flag.txt')).read()
    except FileNotFoundError:
        text = 'none'
    assert text in ('none', 'KK')
#% fails for a missing file
def test_missing_NN(): open(os.path.join(HERE, 'flag.txt'))
#% fails at a stat
def test_stat_NN(): os.stat(os.path.join(HERE, 'flag.txt'))
#% size of a file
def test_size_NN(): assert os.path.getsize(os.path.join(HERE, 'data.txt')) == 1
#% lists a folder
def test_list_NN(): assert len([name for name in os.listdir(os.path.join(HERE, 'listed')) if name.endswith('.txt')]) > KK
#% scans a folder
def test_glob_NN(): assert len(list(pathlib.Path(HERE, 'listed').glob('*.txt'))) != KK
#% walks a folder
def test_walk_NN(): assert sum(len(files) for _, _, files in os.walk(os.path.join(HERE, 'listed'))) < KK + 1
#% environment variable
def test_variable_NN(): assert os.environ.get('SAMPLE_A', '0') == 'KK'
#% environment variable by getenv
def test_getenv_NN(): assert os.getenv('SAMPLE_B') in (None, 'KK')
#% environment variable that is missing
def test_no_variable_NN(): assert os.environ['SAMPLE_A']
#% environment variable when imported
LEVEL_NN = os.environ.get('SAMPLE_A')
def test_level_NN(): assert LEVEL_NN != 'KK'
#% presence of an environment variable
def test_in_environ_NN():
    present = 'SAMPLE_B' in os.environ
    assert present == (KK > 1)
#% optional module
try: import optional
except ImportError: optional = None
def test_optional_NN(): assert optional is None or optional.LEVEL > KK
#% optional module inside
def test_optional_inside_NN():
    try:
        import optional
    except ImportError:
        pytest.skip('no optional')
    assert optional.LEVEL == KK
#% importorskip of an optional module
def test_maybe_optional_NN():
    assert pytest.importorskip('optional').LEVEL != KK
#% import inside
def test_import_inside_NN():
    import lib2
    assert lib2.other() == KK
#% import by name
def test_import_by_name_NN():
    import importlib
    assert importlib.import_module('lib' + str(KK % 3)).value() < 3
#% cached reading
def test_cached_NN(): assert cached.content() >= KK
#% cached reading again
def test_cached_again_NN(): assert cached.content() < 3
#% lazy state of a module
def test_lazy_NN(): assert cached.lazy() in (0, KK)
#% child process
def test_child_NN():
    script = os.path.join(HERE, 'data.txt')
    assert subprocess.run(['cat', script], capture_output=True, text=True).stdout != 'KK'
#% source of a module
def test_source_NN():
    import inspect
    assert 'return KK' in inspect.getsource(lib.other)
#% package data
def test_package_data_NN():
    from importlib import resources
    assert resources.files('pack').joinpath('data.txt').read_text() != 'KK'
#% member of a package
def test_package_NN():
    from pack import inner
    assert inner.LEVEL >= KK
#% links
def test_link_NN(): assert os.path.islink(os.path.join(HERE, 'data.txt')) == (KK > 3)
#% access
def test_access_NN(): assert os.access(os.path.join(HERE, 'flag.txt'), os.R_OK) == (KK > 1)
#% relative path
def test_relative_NN(): assert os.path.isfile('tests/flag.txt') == (KK == 3)
