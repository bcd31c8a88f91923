"""Switch reconcile off, like an engine that only restarts from its last checkpoint."""

from collections.abc import Callable

from jobs.tools.reconcile import Reconciler


def go_blind(put: Callable[[object, str, object], None] = setattr) -> None:
    """Treat every call in progress as not done, so that it is sent again.

    `put` sets an attribute; tests pass a function that also restores it.
    """

    async def absent(self, call, policy, doubt):
        return "absent"

    assert hasattr(Reconciler, "settle"), "the reconcile has moved: there is nothing to switch off here"
    put(Reconciler, "settle", absent)
