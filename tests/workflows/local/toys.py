"""The toy steps as tasks for a DAG being defined."""

from functools import partial

from tests.workflows.local import toy_steps as s
from workflows.template.scripts import add_task

nothing = partial(add_task, s.nothing)
say = partial(add_task, s.say)
fail = partial(add_task, s.fail)
fail_saying = partial(add_task, s.fail_saying)
fail_if = partial(add_task, s.fail_if)
kill_itself = partial(add_task, s.kill_itself)
wait_for_stop = partial(add_task, s.wait_for_stop)
overlap = partial(add_task, s.overlap)
keep = partial(add_task, s.keep)
read_all = partial(add_task, s.read_all)
read_and_wait = partial(add_task, s.read_and_wait)
kill_itself_by = partial(add_task, s.kill_itself_by)
progress = partial(add_task, s.progress)
leave_nothing_until = partial(add_task, s.leave_nothing_until)
environment = partial(add_task, s.environment)
stubborn = partial(add_task, s.stubborn)
tell_pid = partial(add_task, s.tell_pid)
wait_for_file = partial(add_task, s.wait_for_file)
shorten = partial(add_task, s.shorten)
