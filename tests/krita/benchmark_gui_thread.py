"""Benchmark: how long the plugin holds Krita's GUI thread at a time.

    python -m pytest -s tests/krita/benchmark_gui_thread.py

It prints, and asserts nothing about time.
"""

import pytest

SHOWN = 24


@pytest.mark.krita
@pytest.mark.parametrize("side", [1024, 4096])
def test_longest_block_of_the_gui_thread(krita, standin, tmp_path, side):
    values = krita("gui_thread.py", standin, timeout=600, side=side, folder=str(tmp_path))["values"]
    count, size = values.pop("history")
    rows = sorted(((own, seconds, what) for what, (seconds, own) in values.items()), reverse=True)
    print(f"\n{side} x {side}, a history of {count} results in {size / 1e6:.0f} MB")
    print("longest stretches in ms, processor time without libkis and all of it, while …")
    for own, seconds, what in rows[:SHOWN]:
        phase, name = what.split("\t")
        print(f"{own:8.1f} {seconds:8.1f}  {phase:30} {name}")
    assert rows
