"""A process that ends while daemon threads are in the middle of calls. Nobody prints anything.

The argument is the schedule.
"""

import sys
import threading
import time

import numpy as np

import numbarnn as nr
from numbarnn import costs, dispatch

costs.LAUNCH_WORTH_SECONDS = 0.0
dispatch.SCHEDULES = (sys.argv[1],)
long, short = np.ones((3, 3000, 4), np.float32), np.ones((3, 5, 4), np.float32)
stateful, plain = nr.LSTM(40, stateful=True, seed=1), nr.GRU(40, seed=2)
stepper = nr.SimpleRNN(40, seed=3).stepper(3)


def for_ever(call, *arguments):
    try:
        call(*arguments, **({} if call is stepper else {"n_threads": 2}))
    except BaseException:
        started.abort()  # a threading layer that is not there: the main thread is not to wait
        raise
    started.wait()
    while True:
        call(*arguments)


started = threading.Barrier(5)
for call, x in ((stateful, long), (plain, long), (nr.GRU(40, seed=2), short), (stepper, short[:, 0])):
    threading.Thread(target=for_ever, args=(call, x), daemon=True).start()
started.wait()
time.sleep(0.02)
