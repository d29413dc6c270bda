"""What a container leaves of the computer, read from files as the kernel shows them."""

from pathlib import Path

import pytest

from napari_apprentice.core.machine import ControlGroups, Memory, cores, memory, seen_cores

GB = 10**9


def groups(folder: Path, own: str, files: dict[str, object]) -> ControlGroups:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    (folder / "own").write_text(own)
    return ControlGroups(folder, folder / "own")


def test_without_limits_all_of_the_computer_is_there(tmp_path: Path) -> None:
    nothing = groups(tmp_path, "0::/user.slice\n", {"user.slice/memory.max": "max", "user.slice/cpu.max": "max 100000"})
    assert memory(nothing).total == memory(ControlGroups(tmp_path / "no", tmp_path / "no")).total > 0
    assert cores(nothing) == seen_cores()


@pytest.mark.parametrize("limit", ["memory.max", "memory.high"])
def test_the_tightest_of_the_groups_above_counts_and_what_is_cached_is_free(tmp_path: Path, limit: str) -> None:
    found = groups(
        tmp_path, "0::/job/step\n",
        {
            f"job/{limit}": GB, "job/memory.current": 900_000_000,
            "job/memory.stat": "anon 600000000\ninactive_file 200000000\nactive_file 100000000",
            "job/step/memory.max": "max", "job/step/memory.current": 5,
            "job/cpu.max": "50000 100000", "job/step/cpu.max": "max 100000",
        },
    )  # fmt: skip
    assert memory(found) == Memory(400_000_000, GB)
    assert cores(found) == 1


def test_in_a_container_of_version_1_the_path_may_be_that_on_the_host(tmp_path: Path) -> None:
    found = groups(
        tmp_path, "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
        {
            "memory/memory.limit_in_bytes": GB, "memory/memory.usage_in_bytes": GB,
            "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300000000\ntotal_active_file 0",
            "cpu/cpu.cfs_quota_us": 150_000, "cpu/cpu.cfs_period_us": 100_000,
        },
    )  # fmt: skip
    assert memory(found) == Memory(300_000_000, GB)
    assert list(found.cores()) == [1.5]
    assert memory(groups(tmp_path, "0::/../other\n", {"memory.max": 5, "memory.current": 7})) == Memory(0, 5)
