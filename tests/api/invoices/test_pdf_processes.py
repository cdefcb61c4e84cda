"""What needs a process of its own: its first PDF, the same bytes in every process, threads, and memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.invoices.pdf import render_pdf
from tests.support.invoice_documents import WORDS, document, item, items

PROJECT = Path(__file__).resolve().parents[3]


def _printed(program: str, **environment: str) -> list[str]:
    """Returns what a program prints in a new process."""
    program = f"from tests.support.invoice_documents import *\nfrom api.invoices.pdf import render_pdf\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_the_bytes_are_the_same_in_every_process() -> None:
    words = " ".join(WORDS.values())
    here = hashlib.sha256(render_pdf(document([item(words), *items(60)], name=words))).hexdigest()
    program = (
        "import hashlib\n"
        "words = ' '.join(WORDS.values())\n"
        "pdf = render_pdf(document([item(words), *items(60)], name=words))\n"
        "print(hashlib.sha256(pdf).hexdigest())"
    )
    assert _printed(program, PYTHONHASHSEED="1", TZ="Asia/Kolkata", SOURCE_DATE_EPOCH="1000000000") == [here]
    assert _printed(program, PYTHONHASHSEED="2", TZ="America/New_York") == [here]
    assert b"CreationDate" not in render_pdf(document([]))


@pytest.mark.slow  # starts a program
def test_the_first_pdf_imports_typst_and_no_pdf_takes_seconds() -> None:
    program = (
        "import sys, time\n"
        "print('typst' in sys.modules)\n"
        "def cpu(number):\n"
        "    begin = time.process_time()\n"
        "    render_pdf(document(items(60), name=str(number)))\n"
        "    return time.process_time() - begin\n"
        "print(cpu(0) < 5, min(cpu(number) for number in range(1, 6)) < 2, 'typst' in sys.modules)"
    )
    assert _printed(program) == ["False", "True", "True", "True"]


def test_threads_get_their_own_documents() -> None:
    documents = [document([item(f"Item {i}"), *items(5)], name=f"Customer {i}") for i in range(16)]
    alone = [render_pdf(each) for each in documents]
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(render_pdf, documents)] == alone
    assert len(set(alone)) == 16


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_documents_leave_nothing_in_memory() -> None:
    program = (
        "def megabytes():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096 // 10**6\n"
        "def render(number):\n"
        "    render_pdf(document([line._replace(name=f'{number} {line.name}') for line in items(1000)]))\n"
        "render(0)\nrender(1)\nbefore = megabytes()\n"
        "for number in range(2, 7):\n    render(number)\n"
        "print(megabytes() - before)"
    )
    [grown] = _printed(program)
    assert int(grown) < 100
