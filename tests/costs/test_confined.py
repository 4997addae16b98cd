"""Calls in a process that can be killed. No test looks at a clock: what costs too much is killed by the kernel."""

import os
import threading
from functools import partial

import pytest

from messaging.confined import TooCostly, end_all, run_confined
from tests.costs import hostile


def call(function, content=b"x", *args, seconds=1.0, megabytes=64):
    return run_confined(partial(function, content, *args), seconds=seconds, megabytes=megabytes)


@pytest.fixture(autouse=True)
def no_process_of_an_earlier_test():
    end_all()


class TestAnOrdinaryCall:
    def test_answers_from_another_process_without_our_secrets(self):
        os.environ["SECRET_OF_A_TEST"] = "x"
        process, names, has_framework = call(hostile.surroundings)
        assert process != os.getpid()
        assert not {"SECRET_OF_A_TEST", "SECRET_KEY", "DATABASE_URL", "PATH"} & set(names)
        assert not has_framework

    def test_one_process_answers_many(self):
        assert len({call(hostile.surroundings)[0] for _ in range(20)}) == 1

    def test_large_content_arrives_whole(self):
        assert run_confined(hostile.length, b"x" * 26_000_000, seconds=1, megabytes=30) == 26_000_000

    def test_what_the_function_raises_arrives(self):
        with pytest.raises(ValueError, match="3 bytes are too many"):
            call(hostile.print_and_refuse, b"abc")
        with pytest.raises(RuntimeError, match="Unsendable: ab"):
            call(hostile.raise_what_cannot_be_sent)
        assert call(hostile.length) == 1

    def test_several_threads_at_once(self):
        lengths = []
        threads = [
            threading.Thread(target=lambda n=n: lengths.append(call(hostile.length, b"x" * n))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(lengths) == list(range(8))

    def test_nothing_is_written(self, tmp_path):
        with pytest.raises(OSError, match="too large"):
            call(hostile.write_a_file, b"", str(tmp_path / "file"))


class TestACallThatCostsTooMuch:
    @pytest.mark.parametrize("function", [hostile.compute_for_ever, hostile.catch_everything_for_ever])
    def test_of_time_is_killed(self, function):
        with pytest.raises(TooCostly, match=r"more than 0\.2 s"):
            call(function, seconds=0.2)
        assert call(hostile.length) == 1

    def test_of_memory_is_refused(self):
        assert call(hostile.fill_memory, b"", 50) == 50_000_000
        with pytest.raises(TooCostly, match="more than 64 MB"):
            call(hostile.fill_memory, b"", 70)
        assert call(hostile.fill_memory, b"", 70, megabytes=100) == 70_000_000

    def test_content_that_does_not_fit_is_refused(self):
        with pytest.raises(TooCostly, match="more than 8 MB"):
            run_confined(hostile.length, b"\x80\x04K\x01." * 4_000_000, seconds=1, megabytes=8)
        assert call(hostile.length) == 1

    def test_of_depth_is_refused(self):
        with pytest.raises(TooCostly, match="nested too deeply"):
            call(hostile.nest)

    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
    def test_a_crash_is_reported(self, name):
        with pytest.raises(TooCostly, match=name):
            call(hostile.end_itself, b"", name)
        assert call(hostile.length) == 1

    def test_memory_that_earlier_calls_kept_does_not_count(self):
        first = call(hostile.keep_memory, b"", 40)
        assert call(hostile.keep_memory, b"", 40) != first
        small = [call(hostile.keep_memory, b"", 15, megabytes=64) for _ in range(6)]
        assert len(set(small)) > 1


def test_a_forked_process_starts_its_own():
    parents = call(hostile.surroundings)[0]
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, str(call(hostile.surroundings)[0]).encode())
        end_all()
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 20)) != parents
    assert call(hostile.surroundings)[0] == parents
