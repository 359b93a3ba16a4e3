"""Runs in the background: a queue, a service that starts workers, and the workers themselves.

    client.py   what pages and the command line call: submit, resume, stop, devices (no torch)
    service.py  the process that serves them all: when it begins, goes round and ends
    dispatcher.py  which runs are at work and which wait; starts a worker for each that fits
    slots.py    which waiting run fits where; arithmetic only
    executors/  where workers are: how one is started, told and found; local.py is this machine
    worker.py   trains one run and writes its folder
    endings.py  what is written down of runs whose worker cannot do it itself
    control.py  what people and the system ask of a worker
    queue.py    the waiting runs, as marker files
    fetch.py    downloads of data sets in the background
    process.py  how another process of this program is started

Every fact is in the run folders. Kill any of the processes at any time, and the next one finds all it needs there.
"""
