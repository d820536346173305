"""Follower: keeps the versions that answer those that the environments' tags name; `serve` runs it beside the requests.

A tag that comes makes a candidate; only one that is ready takes over, and the old one answers until then, and on where
the new one fails. The version before stays warm: to go back to it takes a verification and no start. What failed is
tried again, ever later, until another tag comes.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pushforward import durable
from pushforward.errors import TOOL, PushforwardError
from pushforward.lifecycle import Serve
from pushforward.release import release
from pushforward.serving import program
from pushforward.serving.candidate import Prepared
from pushforward.serving.line import FaultError
from pushforward.serving.live import Live, Running, opened
from pushforward.serving.port import Arm
from pushforward.serving.uses import Told, Use, Uses

PREPARE_SECONDS = 3600.0  # an environment may have to be built, and gigabytes fetched
AGAIN_SECONDS = (30.0, 900.0)
Tell = Callable[[str, str, str], None]


@dataclass
class Post:
    """One environment that is followed: what it should hold, what it does, and what it did before."""

    arm: Arm
    environment: str
    use: Use | None = None
    done: Use | None = None
    running: Running | None = None
    before: Running | None = None
    failures: int = 0
    again: float = 0.0
    why: str = ""
    task: "asyncio.Task[None] | None" = None
    trying: Use | None = None


@dataclass
class Follower:
    """The environments of one model and the versions that answer for them. `say` hears what changes.

    `tell` is given, in a thread, the title, the reason and the next step of what a person should hear of.
    """

    uses: Uses
    environment: str
    live: Live
    folder: Path
    cache: Path
    say: Callable[[str], None]
    features: bool = False
    serve: Serve = field(default_factory=Serve)
    tell: Tell = lambda *_: None
    told: Told | None = None
    posts: dict[Arm, Post] = field(default_factory=dict)
    _number: int = 0
    _started: list[Running] = field(default_factory=list)
    _ending: set["asyncio.Task[None]"] = field(default_factory=set)
    _unread: set[str] = field(default_factory=set)  # why the looks fail since the last one that did not
    _warming: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        self.posts = {"main": Post("main", self.environment)}
        self.live.worse = self.take_back

    async def run(self) -> None:
        """Follow until cancelled; then every version is ended, after what it was asked is answered."""
        seen: str | None = None
        try:
            while True:
                try:
                    now = await asyncio.to_thread(self.uses.glance)
                    if now != seen:
                        self._see(await asyncio.to_thread(self.uses.read))
                        seen = now
                    self._reached()
                except (PushforwardError, OSError) as failed:
                    self._missed(failed)
                for post in self.posts.values():
                    await self._see_to(post)
                await asyncio.sleep(self.uses.seconds)
        finally:
            await self._end()

    def take_back(self, why: str) -> None:
        """Have a canary go that has shown to be worse: it is asked no more, and a signed tag says so to everybody."""
        post = self.posts.get("canary")
        if post is None or post.running is None:
            return
        self.say(f"{post.environment}: {post.running.name} is taken back: {why}")
        self.live.put("canary", None)
        self.live.counts["taken_back"] += 1
        self._beside(self._sign, post.environment, post.running.name, why)

    def _beside(self, act: Callable[..., None], *words: str) -> None:
        """Have something done in a thread: answers do not wait for it, only the end of this server does."""
        self._aside(asyncio.create_task(asyncio.to_thread(act, *words)))

    def _aside(self, task: "asyncio.Task[None]") -> None:
        """Have a task end by itself; where it fails, that is said."""
        self._ending.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            self.say(f"a bug of the server's own: {type(bug).__name__}: {bug}")

    def _sign(self, environment: str, version: str, why: str) -> None:
        reason = f"{version} as a canary: {why}"[:300]
        root, model = self.uses.root, self.uses.model
        try:
            try:
                made = release.rollback(root, reason, environment=environment, model=model, present=version)
            except release.NoneBeforeError:
                made = release.empty(root, reason, environment=environment, model=model, present=version)
        except release.MovedOnError as moved:
            self.say(f"{environment}: {moved.message}")
            step, said = "pushforward show", moved.message
        except (PushforwardError, OSError) as failed:
            step = f"pushforward rollback {environment} -m REASON"
            words = failed.message if isinstance(failed, PushforwardError) else str(failed)
            self.say(f"{environment}: {version} is not asked here any more, no tag says so: {words}; {step}")
            said = f"no tag says so: {words}"
        else:
            self.say(f"{environment}: {made.tag} says so")
            step, said = "pushforward show", f"{made.tag} says so"
        self.tell(f"{version} is taken back as a canary in {environment}", f"{why}; {said}", step)

    def _missed(self, failed: PushforwardError | OSError) -> None:
        """Count a look that failed, and say why: once, and of a repository that is away whatever each look calls it."""
        self.live.counts["unread"] += 1
        why = str(failed).partition("\n")[0]
        known = "away" if isinstance(failed, PushforwardError) and failed.exit_code == TOOL else why
        if isinstance(failed, OSError):
            known = f"errno {failed.errno}"  # its words have the names of temporary files
        if known not in self._unread:
            self._unread.add(known)
            self.say(f"{why}; what is served stays")

    def _reached(self) -> None:
        if self._unread:
            self._unread.clear()
            self.say("the repository is read again")

    def _see(self, told: Told) -> None:
        """Go by what the authority says now."""
        self.told, self.serve = told, told.serve
        self.live.share, self.live.slower = told.serve.share, told.serve.slower
        named: dict[Arm, str | None] = {"canary": told.serve.canary, "shadow": told.serve.shadow}
        for arm, environment in named.items():
            post = self.posts.get(arm)
            if post is not None and post.environment != environment:
                self._leave(post)
            if environment and arm not in self.posts:
                self.posts[arm] = Post(arm, environment)
        for post in self.posts.values():
            post.use = told.uses.get(post.environment)
        if self.posts["main"].use is None and "main" not in self.live.arms:
            self.live.arms["main"] = None
            step = f"pushforward release VERSION --to {self.environment}"
            self.say(f"{self.environment}: no version is in use yet; {step}")

    def _leave(self, post: Post) -> None:
        """Go by an environment no more: what it held is asked no more, and what is made ready for it is not wanted."""
        del self.posts[post.arm]
        if post.task is not None and not post.task.done():
            post.task.cancel()
            self._aside(post.task)
        self.live.put(post.arm, None)
        self.say(f"{post.environment}: it is the {post.arm} no more")
        self._sweep()

    async def _see_to(self, post: Post) -> None:
        """Start what is to be done for an environment, and stop what is not any more."""
        if post.task is not None and not post.task.done():
            if post.trying == post.use:
                return
            post.task.cancel()
            await asyncio.wait([post.task])
        elif post.task is not None and not post.task.cancelled() and (bug := post.task.exception()):
            post.task = None
            self._failed(post, post.trying, bug)
        if post.use == post.done or (post.use == post.trying and time.monotonic() < post.again):
            return
        if post.use != post.trying:
            post.failures = 0
        post.trying = post.use
        post.task = asyncio.create_task(self._renew(post, post.use))

    async def _renew(self, post: Post, use: Use | None) -> None:
        try:
            running = await self._running(post, use) if use is not None and use.version else None
        except (PushforwardError, FaultError, OSError) as failed:
            self._failed(post, use, failed)
            return
        self.live.put(post.arm, running)
        if running is None or post.running is None or running.channel is not post.running.channel:
            post.before = post.running or post.before
        post.running = running
        post.done, post.why = use, ""
        place = post.environment
        if running is None:
            self.say(f"{place}: no version is in use{f' ({use.tag})' if use else ''}")
        else:
            said = running.prepared.said
            self.say(f"{place}: {running.name} answers ({use.tag if use else ''}; {said})")
        self._sweep()
        if post.arm == "main" and post.before is None and use is not None and use.before and self._warming is None:
            self._warming = asyncio.create_task(self._warm(post, use.before))
            self._warming.add_done_callback(self._over)

    def _failed(self, post: Post, use: Use | None, failed: BaseException) -> None:
        shortest, longest = AGAIN_SECONDS
        wait = min(shortest * 2**post.failures, longest)
        post.failures += 1
        post.again, post.why = time.monotonic() + wait, str(failed).partition("\n")[0]
        self.live.counts["candidates_failed"] += 1
        stays = f"{post.running.name} answers on" if post.running else "no version answers"
        name = f"{use.version} ({use.tag})" if use else ""
        self.say(f"{post.environment}: {name} cannot be served: {failed}\n  {stays}; again in {wait:.0f} s")
        if use is not None and post.failures == 1:  # of each tag once, however often it is tried
            step = f"pushforward verify --in-use {post.environment} --quick"
            self._beside(self.tell, f"{name} cannot be served in {post.environment}", f"{post.why}; {stays}", step)

    async def _running(self, post: Post, use: Use) -> Running:
        """The version of a tag, ready to be asked: one that is warm, else a new one."""
        warm = next(
            (one for one in self._known() if (one.name, one.prepared.commit) == (use.version, use.commit)), None
        )
        if warm is not None:
            await asyncio.to_thread(self.uses.verify, use)
            return replace(warm, served=replace(warm.served, environment=post.environment))
        return await self._new(use.tag)

    async def _new(self, name: str) -> Running:
        """The version of a tag, its own or an environment's, made ready."""
        self._number += 1
        home = self.folder / str(self._number)
        try:
            return await self._open(await self._prepare(name, home))
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
            raise

    async def _warm(self, post: Post, version: str) -> None:
        """Have the version before ready too: after a start of this server, the way back is as short as ever."""
        try:
            running = await self._new(version)
        except (PushforwardError, FaultError, OSError) as failed:
            self.say(f"{post.environment}: {version}, the way back, is not ready: {str(failed).partition(chr(10))[0]}")
            return
        if post.before is None and post.running is not None and post.running.name != running.name:
            post.before = running
        self._sweep()

    async def _open(self, prepared: Prepared) -> Running:
        running = await opened(prepared, self.serve, self.live, self.say, features=self.features)
        self._started.append(running)
        return running

    async def _prepare(self, name: str, home: Path) -> Prepared:
        """Have a program of its own verify, load and ask a version."""
        home.mkdir(parents=True)
        words = (self.uses.root, name, home, self.cache)
        return Prepared(**await program.ask("candidate", *words, seconds=PREPARE_SECONDS))

    def _known(self) -> Iterator[Running]:
        for post in self.posts.values():
            yield from (one for one in (post.running, post.before) if one is not None)

    def _sweep(self) -> None:
        """End the versions that nobody asks any more, and are not the way back."""
        kept = {id(one.channel) for one in self._known()}
        for one in list(self._started):
            if id(one.channel) not in kept:
                self._started.remove(one)
                self._aside(asyncio.create_task(self._stop(one)))

    async def _stop(self, running: Running) -> None:
        await running.channel.stop()
        await asyncio.to_thread(shutil.rmtree, Path(running.prepared.checkout).parent, ignore_errors=True)

    async def _end(self) -> None:
        """Stop what is under way, and every version."""
        known = (self._warming, *(post.task for post in self.posts.values()))
        tasks = [one for one in known if one is not None and not one.done()]
        for task in tasks:
            task.cancel()
        await self.live.close()
        await asyncio.gather(*tasks, *(self._stop(one) for one in self._started), *self._ending, return_exceptions=True)


@contextlib.contextmanager
def home(root: Path, model: str) -> Iterator[Path]:
    """Where a server keeps what it has fetched and checked out; what a killed one has left there is taken out."""
    known = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushforward" / "serving"
    folder = known / f"{model}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}"
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    for left in work.glob("*.lock"):
        with durable.attempted(left) as mine:
            if mine:
                shutil.rmtree(left.with_suffix(""), ignore_errors=True)
                left.unlink(missing_ok=True)
    own = work / secrets.token_hex(6)
    with durable.locked(own.with_suffix(".lock")):
        own.mkdir()
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
            own.with_suffix(".lock").unlink(missing_ok=True)
