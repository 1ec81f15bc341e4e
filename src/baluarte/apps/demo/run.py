"""The demo: train, prove, seal, serve, replay what came later, see the promise broken, retrain.

Everything goes the roads that a user goes: the same stages, the same server, the same ledger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baluarte.apps import making
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Bar, Screen, Tone
from baluarte.apps.cli.seal import ensure_key
from baluarte.apps.cli.watch import alarm_line, carried
from baluarte.apps.demo.checks import Checked, check_promises
from baluarte.apps.demo.events import DemoEvents, find
from baluarte.apps.demo.later import LaterEvents, read_later
from baluarte.apps.demo.stage_set import Running, claim, has_kernel, prepare, server
from baluarte.apps.demo.traffic import Answered, Client, Sent
from baluarte.apps.labelling import take_labels
from baluarte.apps.place import Detector, Place
from baluarte.apps.session import Session
from baluarte.apps.watching import Watch
from baluarte.core.candidate import Candidate
from baluarte.core.contract import Contract
from baluarte.core.drift import Alarm
from baluarte.core.event import Events
from baluarte.core.evidence import Figure
from baluarte.core.findings import finding_name
from baluarte.core.registry import LabelRow, Version
from baluarte.errors import DataError
from baluarte.stages.plan import PlanResult
from baluarte.stages.promote import promote
from baluarte.stages.prove import Proof
from baluarte.stages.retrain import retraining_events
from baluarte.stages.watch import Promise

SEED = 20
_STEP = 250  #: events between looks of the watch
_FIRST_LABELS = 4_096  #: events whose labels show whether the promise is kept
_ALL_LABELS = 8_000  #: events whose labels the challenger is trained with


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened, for the report; filled as the demo goes."""

    events: DemoEvents
    place: Place
    detector: Detector
    contract: Contract
    later: LaterEvents
    train_rows: int = 0
    plan: PlanResult | None = None
    candidates: list[Candidate] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    running: Running | None = None
    answers: list[Answered] = field(default_factory=list)
    sent_seconds: float = 0.0
    alarms: list[tuple[int, Alarm, str]] = field(default_factory=list)
    first_promise: Promise | None = None
    second_promise: Promise | None = None
    live_seconds: float = 0.0
    retried: int = 0
    checks: list[Checked] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the demo is run."""

    out: Path
    fraud: bool = False
    seed: int = SEED
    port: int = 0
    workers: int = 2


class Demo:
    """One run of the demo."""

    def __init__(self, options: Options, screen: Screen, texts: Texts) -> None:
        self._options, self._screen, self._texts = options, screen, texts

    def run(self) -> Story:
        """The whole life of a detector."""
        started = time.monotonic()
        story = self._prepare()
        with Session(story.place, actor="demo") as session:
            ensure_key(session)
            base = self._build(session, story)
            with server(story.place, port=self._options.port) as running:
                self._serving(story, running)
                client = Client(running.url, running.token, story.detector.name)
                try:
                    self._stream(session, story, client)
                    self._retrain(session, story, base)
                    self._swap(session, story, client)
                finally:
                    client.close()
            signed = session.sign_checkpoint()
            self._screen.data(checkpoint=signed.checkpoint.root.hex())
            story.checks = check_promises(session, story.detector.name)
        story.seconds = time.monotonic() - started
        return story

    # --- until it serves ----------------------------------------------------------------------

    def _prepare(self) -> Story:
        options = self._options
        claim(options.out)
        events = find(options.out / "data", fraud=options.fraud, seed=options.seed)
        place = prepare(options.out, events, workers=options.workers)
        detector = place.detector(next(iter(place.workspace.detectors)))
        contract = detector.contract()
        later = read_later(str(events.later), contract, seed=options.seed)
        return Story(events=events, place=place, detector=detector, contract=contract, later=later)

    def _build(self, session: Session, story: Story) -> Events:
        screen, texts = self._screen, self._texts
        base = making.read_events(str(story.events.train), story.contract)
        story.train_rows = base.n
        screen.item(
            texts.get("demo.events"),
            texts.get(
                "demo.events_line",
                data=texts.get(f"demo.data_{story.events.key}"),
                train=base.n,
                replay=len(story.later),
                source=texts.get(f"demo.origin_{story.events.origin}"),
            ),
        )
        self._plan(session, story, base)
        started = time.monotonic()
        with screen.progress(texts.get("demo.train")) as bar:
            candidate = making.train_candidate(session, story.detector, base, progress=bar)
        self._tell_training(candidate, seconds=time.monotonic() - started)
        story.candidates.append(candidate)
        self._prove_and_seal(session, story, base)
        self._promote(session, story)
        return base

    def _plan(self, session: Session, story: Story, base: Events) -> None:
        screen, texts = self._screen, self._texts
        with screen.progress(texts.get("demo.plan")) as bar:
            result = making.plan_detector(session, story.contract, base, progress=bar)
        story.plan = result
        levels = [finding.level for finding in result.findings]
        named = ", ".join(finding_name(f) for f in result.findings[:3])
        screen.item(
            texts.get("demo.plan"),
            texts.get(
                "demo.plan_line",
                notes=levels.count("note"),
                warnings=levels.count("warn"),
                blocks=len(result.blocking),
                named=named or texts.get("word.none"),
            ),
            "broken" if result.blocking else "plain",
        )
        if result.blocking:
            raise DataError(f"the plan blocks: {', '.join(result.blocking)}")

    def _tell_training(self, candidate: Candidate, *, seconds: float) -> None:
        training, texts = candidate.training, self._texts
        figures = {figure.name: figure.value for figure in training.rehearsal}
        self._screen.item(
            texts.get("demo.train"),
            texts.get(
                "demo.train_line",
                trials=len(training.trials),
                seconds=round(seconds),
                model=" + ".join(member.model for member in training.members),
                recall=figures.get("recall", 0.0),
                budget=candidate.contract.objective.budget.value,
            ),
        )

    def _prove_and_seal(self, session: Session, story: Story, events: Events) -> None:
        screen, texts = self._screen, self._texts
        proof = making.prove_pending(session, story.detector, events)
        story.proofs.append(proof)
        gates = {gate.gate: gate for gate in proof.evidence.gates}
        said = texts.get(f"verdict.{proof.verdict}")
        if proof.verdict == "pass":
            latency = gates.get("latency")
            said = texts.get(
                "demo.prove_line",
                recall=gates["recall"].bound,
                fpr=gates["false_alarms"].bound,
                latency=latency.figure.value if latency else 0.0,
                rows=sum(story.candidates[-1].training.split.counts["proof"]),
                bits=texts.get(
                    "demo.bits_compared"
                    if "same_bits_rows" in proof.evidence.faithfulness
                    else "demo.bits_not_compared"
                ),
                look=proof.cost.look,
            )
        tone: Tone = "kept" if proof.verdict == "pass" else "broken"
        screen.item(texts.get("demo.prove"), said, tone)
        if proof.verdict != "pass":
            raise DataError(
                f"the candidate did not pass its gates ({said}): the demo stops at the no",
                hint="Another --seed draws other events.",
            )
        version = making.seal_pending(session, story.detector.name)
        story.versions.append(version)
        label = f"{version.detector}@{version.version}"
        key = session.signer.key.name
        screen.item(
            texts.get("demo.seal"),
            texts.get("demo.seal_line", version=label, digest=version.digest[:19], signer=key),
        )

    def _promote(self, session: Session, story: Story) -> None:
        promote(
            story.detector.name,
            story.versions[-1].version,
            actor=session.actor,
            reason="demo",
            approvals=story.place.workspace.approvals,
            registry=session.registry,
            bundles=session.bundles,
            verifier=session.verifier,
            ledger=session.shard,
            clock=session.clock,
        )

    def _serving(self, story: Story, running: Running) -> None:
        story.running = running
        texts = self._texts
        self._screen.item(
            texts.get("demo.serve"),
            texts.get(
                "demo.serve_line",
                url=running.url,
                workers=running.workers,
                seconds=round(running.seconds, 1),
            ),
        )
        if not has_kernel():
            self._screen.item("", texts.get("demo.slower"), "unsure")

    # --- the stream ---------------------------------------------------------------------------

    def _stream(self, session: Session, story: Story, client: Client) -> None:
        """Replay the first events, watching as they come."""
        texts = self._texts
        watch = Watch(session, story.detector.name)
        self._screen.item(
            texts.get("demo.replay"), texts.get("demo.replay_start", n=len(story.later))
        )
        with self._screen.progress(texts.get("demo.replay")) as bar:
            for start in range(0, _ALL_LABELS, _STEP):
                rows = story.later.rows[start : min(start + _STEP, _ALL_LABELS)]
                self._send(story, client, rows)
                bar.step(len(story.answers), len(story.later))
                self._look(story, watch, bar)
                if start < _FIRST_LABELS <= len(story.answers):
                    self._first_labels(session, story, watch, bar)
        self._labels(session, story, 0, _ALL_LABELS)
        rate = len(story.answers) / max(story.sent_seconds, 1e-9)
        self._screen.item("", texts.get("demo.replay_line", rate=round(rate)))
        self._screen.item("", texts.get("demo.labels_arrive", n=_ALL_LABELS))

    def _send(self, story: Story, client: Client, rows: Sequence[Mapping[str, object]]) -> Sent:
        sent = client.send(rows)
        story.answers += sent.answers
        story.sent_seconds += sent.seconds
        story.retried += sent.retried
        return sent

    def _look(self, story: Story, watch: Watch, bar: Bar | None) -> None:
        seen = watch.step()
        for alarm in seen.alarms:
            line = alarm_line(self._texts, alarm)
            story.alarms.append((len(story.answers), alarm, line))
            if len(story.alarms) == 1:
                if bar is not None:
                    bar.clear()
                texts, (channels, share) = self._texts, carried(self._texts, alarm)
                said = texts.get("demo.drift_line", channels=channels, share=share)
                after = texts.get("demo.after", n=alarm.at)
                self._screen.item("", f"{after}  {texts.get('demo.drift')}  {said}", "broken")

    def _first_labels(self, session: Session, story: Story, watch: Watch, bar: Bar) -> None:
        """The first labels arrive: is what was promised still true?"""
        self._labels(session, story, 0, len(story.answers))
        story.first_promise = watch.promise(story.contract)
        bar.clear()
        self._tell_promise(story.first_promise, n=len(story.answers))

    def _tell_promise(self, said: Promise, *, n: int) -> None:
        texts = self._texts
        figures = {kept.figure.name: kept for kept in said.figures}
        recall, fpr = figures.get("recall"), figures.get("false_alarm_rate")
        if recall is None or fpr is None:
            return
        key = "demo.contract_broken" if said.broken else "demo.contract_kept"
        self._screen.item(
            "",
            f"{texts.get('demo.after', n=n)}  {texts.get(key)}  "
            + texts.get(
                "demo.promise_line",
                fpr=fpr.figure.value,
                max_fpr=fpr.limit,
                recall=recall.figure.value,
                min_recall=recall.limit,
            ),
            "broken" if said.broken else "kept",
        )

    def _labels(self, session: Session, story: Story, start: int, stop: int) -> None:
        now = session.clock.now_us()
        rows = [
            LabelRow(event_id=answer.event_id, label=label, at=now, source="demo")
            for answer, label in zip(
                story.answers[start:stop], story.later.labels[start:stop], strict=True
            )
        ]
        take_labels(session, story.detector.name, rows, source="demo")

    # --- the second version -------------------------------------------------------------------

    def _retrain(self, session: Session, story: Story, base: Events) -> None:
        texts = self._texts
        new = making.new_labelled_events(session, story.detector.name, story.contract)
        started = time.monotonic()
        with self._screen.progress(texts.get("demo.retrain")) as bar:
            candidate = making.retrain_candidate(session, story.detector, base, new, progress=bar)
        story.candidates.append(candidate)
        self._tell_training(candidate, seconds=time.monotonic() - started)
        self._prove_and_seal(session, story, retraining_events(base, new))

    def _swap(self, session: Session, story: Story, client: Client) -> None:
        """Promote while events keep coming; judge the second version on what it decided."""
        texts = self._texts
        first = len(story.answers)
        self._promote(session, story)
        promoted = time.monotonic()
        number = story.versions[-1].version
        with self._screen.progress(texts.get("demo.replay")) as bar:
            while len(story.answers) < len(story.later):
                start = len(story.answers)
                sent = self._send(story, client, story.later.rows[start : start + _STEP])
                old = [
                    at
                    for at, answer in zip(sent.at, sent.answers, strict=True)
                    if answer.version != number
                ]
                if old:
                    story.live_seconds = max(old) - promoted
                bar.step(len(story.answers), len(story.later))
        self._tell_second(session, story, first)

    def _tell_second(self, session: Session, story: Story, first: int) -> None:
        texts, number = self._texts, story.versions[-1].version
        self._labels(session, story, first, len(story.answers))
        watch = Watch(session, story.detector.name)
        self._look(story, watch, None)
        said = watch.promise(story.contract)
        story.second_promise = said
        own = [i for i in range(first, len(story.answers)) if story.answers[i].version == number]
        figures: dict[str, Figure] = {kept.figure.name: kept.figure for kept in said.figures}
        fpr, recall = figures["false_alarm_rate"], figures["recall"]
        label = f"{story.detector.name}@{number}"
        self._screen.item(
            texts.get("demo.retrain"),
            texts.get(
                "demo.live_line",
                version=label,
                actor=session.actor,
                seconds=round(story.live_seconds, 1),
                lost=len(story.later) - len(story.answers),
            ),
            "kept",
        )
        self._screen.item(
            "",
            texts.get(
                "retrain.after",
                n=len(own),
                recall=recall.value,
                fpr=fpr.value,
                low=fpr.low or 0.0,
                high=1.0 if fpr.high is None else fpr.high,
            ),
            "broken" if said.broken else "kept",
        )
