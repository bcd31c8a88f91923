"""The runner: starts each stage once the stages it needs have ended, and always finishes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.engine.context import Emit, Files, JobInfo, Make, StageContext, Tools
from jobs.engine.events import StageComplete, StageError, StageStart, WorkflowComplete
from jobs.engine.graph import Stage, Workflow
from jobs.engine.results import (
    Artifact,
    JobStatus,
    LogLost,
    StageResult,
    Status,
    StepError,
    Stopped,
    Timing,
    cause_of,
    judge_job,
)
from jobs.engine.shared import Shared

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier runs of the job left: the results and timings of ended stages, the logged start of every
    started stage, the items made so far, and the steps whose outcome is still unknown."""

    results: Mapping[str, StageResult]
    started: Mapping[str, datetime] = field(default_factory=dict)
    made: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


class Runner:
    """Runs one job's workflow, without a database or a network of its own: it reports through `emit`.

    Times are those of the log, so a run that resumes another one sees the same times.
    """

    def __init__(
        self,
        workflow: Workflow,
        *,
        job: JobInfo,
        brief: Any,
        tools: Tools,
        files: Files,
        emit: Emit,
        before: Before | None = None,
    ) -> None:
        self.workflow, self.job, self.brief = workflow, job, brief
        self.tools, self.files, self.emit = tools, files, emit
        self.before = before or Before({})
        self.results: dict[str, StageResult] = dict(self.before.results)
        self.timings: dict[str, Timing] = dict(self.before.timings)
        self._ends = {stage.id: asyncio.Event() for stage in workflow.stages}
        self._stopped = False
        self._errors: list[Exception] = []

    async def run(self) -> JobStatus:
        """Run every stage that has not ended, emit the end, and return the job's status.

        Raises Stopped if the job was stopped, and what `emit` or the journal raised if they failed. By then
        all work in progress has ended.
        """
        for id in self.results:
            self._ends[id].set()
        async with asyncio.TaskGroup() as group:
            self._shared = Shared(group)
            for index, stage in enumerate(self.workflow.stages):
                if stage.id not in self.results:
                    group.create_task(self._stage(stage, index), name=f"stage-{stage.id}")
        if self._errors:
            raise self._errors[0]
        if self._stopped:
            raise Stopped("the job was stopped")
        # an earlier round may have left an unknown step that no stage of this round has called
        unknown = bool(self.before.unknown) or any(r.data.get("unknown") for r in self.results.values())
        status = judge_job({id: result.status for id, result in self.results.items()}, unknown=unknown)
        await self.emit(
            WorkflowComplete(
                status=status, total_stages=len(self.workflow.stages), artifacts=self._artifacts()
            )
        )
        return status

    def _artifacts(self) -> tuple[Artifact, ...]:
        ordered = (self.results[stage.id] for stage in self.workflow.stages)
        made = [artifact for result in ordered for artifact in result.artifacts]
        # an artifact replaces one of the same name from an earlier stage
        last = {artifact.name: place for place, artifact in enumerate(made)}
        return tuple(artifact for place, artifact in enumerate(made) if last[artifact.name] == place)

    async def _stage(self, stage: Stage, index: int) -> None:
        for need in stage.needs:
            await self._ends[need].wait()
        try:
            if not self._stopped and not self._errors:
                await self._run(stage, index)
        except Stopped:
            self._stopped = True
        except LogLost as lost:
            self._errors.append(lost.error)
        except Exception as error:
            # not raised here: the group would cancel the other stages in the middle of their calls
            self._errors.append(error)
        finally:
            self._ends[stage.id].set()

    async def _run(self, stage: Stage, index: int) -> None:
        context = self._context(stage, index)
        began = self.before.started.get(stage.id) or await self.emit(StageStart(**context.where))
        result = await self._result(stage, context)
        kind = StageError if result.status is Status.FAILED else StageComplete
        ended = await self.emit(
            kind(
                **context.where,
                status=result.status,
                current=result.made,
                total=result.total,
                artifacts=result.artifacts,
                error=result.error,
                data=result.data,
            )
        )
        self.results[stage.id] = result
        self.timings[stage.id] = Timing(began, (ended - began).total_seconds())

    def _context(self, stage: Stage, index: int) -> StageContext:
        return StageContext(
            stage=stage,
            index=index,
            total_stages=len(self.workflow.stages),
            job=self.job,
            brief=self.brief,
            # a stage that owns a shared step may get a context before the stages it needs have ended
            results={id: self.results[id] for id in stage.needs if id in self.results},
            names={other.id: other.name for other in self.workflow.stages if other.id in stage.needs},
            timings={id: self.timings[id] for id in stage.needs if id in self.timings},
            tools=self.tools,
            files=self.files,
            emit=self.emit,
            floor=self.before.made.get(stage.id, 0),
            share=self._share,
        )

    async def _share(self, owner: str, name: str, make: Make) -> Any:
        index = {stage.id: index for index, stage in enumerate(self.workflow.stages)}[owner]
        context = self._context(self.workflow.stages[index], index)
        return await self._shared.get(context.step(name), lambda: make(context))

    async def _result(self, stage: Stage, context: StageContext) -> StageResult:
        try:
            return await stage.run(context)
        except Exception as raised:
            error = cause_of(raised)
            if isinstance(error, Stopped | LogLost):
                raise error
            reason = str(error)
            if not isinstance(error, StepError):
                log.exception("stage %s of job %s broke", stage.id, self.job.id)
                reason = f"internal error ({type(error).__name__})"
        return StageResult(status=Status.FAILED, made=context.current, total=context.total, error=reason)
