# SPDX-License-Identifier: MIT
"""What both sides have in common: the trace, the planned failures, the clock, the threads."""
import queue
import threading


class Clock:
    """Stands still but for a little at each reading, so that no two times are equal."""

    def __init__(self):
        self.ns = 1_000_000_000_000

    def read_ns(self):
        self.ns += 1000
        return self.ns

    def advance(self, seconds):
        self.ns += seconds * 1_000_000_000


class Crew:
    """Threads of which one works at a time."""

    def __init__(self, count):
        self.tasks = [queue.SimpleQueue() for _ in range(count)]
        self.answers = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self._work, args=(tasks,), daemon=True)
                        for tasks in self.tasks]
        for thread in self.threads:
            thread.start()

    def _work(self, tasks):
        while (task := tasks.get()) is not None:
            try:
                self.answers.put((True, task()))
            except BaseException as error:  # told to who asked
                self.answers.put((False, error))

    def do(self, number, task):
        """Runs it on that thread."""
        self.tasks[number].put(task)
        is_good, answer = self.answers.get()
        if not is_good:
            raise answer
        return answer

    def end(self):
        for tasks in self.tasks:
            tasks.put(None)
        for thread in self.threads:
            thread.join()


class Side:
    """One of the two pools, with its trace."""

    def __init__(self):
        self.trace = []
        self.history = []
        self.plans = {}
        self.pings_to_fail = 0
        self.connections = 0
        self.records = 0
        self.clock = Clock()

    def plan(self, name, nth, code, times):
        """The nth call of a hook or driver function from now on fails, and so do those after
        it, `times` in all.  One plan at a time."""
        self.plans = {name: (nth, code, times)}

    def note(self, name, connection, record):
        """Writes an event down, and returns the code that it is to fail with, or None."""
        words = [name]
        if connection is not None:
            words.append(f'c{connection}')
        if record is not None:
            words.append(f'r{record}')
        nth, code, times = self.plans.get(name, (0, None, 0))
        if nth == 1:
            self.plans = {name: (1, code, times - 1)} if times > 1 else {}
            self.trace.append(' '.join(words) + ' !' + code)
            return code
        if nth > 1:
            self.plans[name] = (nth - 1, code, times)
        self.trace.append(' '.join(words))
        return None

    def take_trace(self):
        trace, self.trace = self.trace, []
        self.history += trace
        return trace
