from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import pytest
from tests.control.receiver import TAKEN, Receiver, run, silence, until

from gapura.config.plan_events import WebhookPlan
from gapura.control.webhook import QUEUE, Webhook
from gapura.events import Event, draft


class Told:
    def __init__(self) -> None:
        self.types: list[str] = []
        self.texts: list[str] = []

    def __call__(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.types.append(type)
        self.texts.append(text)


def plan(url: str, **words: Any) -> WebhookPlan:
    made: dict[str, Any] = {"url": url, "url_file": "", "format": "json", "chat": "", "headers": {}, "secret_file": ""}
    return {**made, "only": [], "timeout": 20.0, "ca": "", **words}  # type: ignore[typeddict-item,return-value]


def webhook(url: str, told: Told | None = None, secrets: dict[str, str] | None = None, **words: Any) -> Webhook:
    def secret(path: str) -> str:
        if path not in (secrets or {}):
            raise ValueError(f"{path} is not there")
        return (secrets or {})[path]

    def context(plan: WebhookPlan) -> ssl.SSLContext:
        raise AssertionError("no https here")

    made = Webhook(asyncio.get_running_loop(), plan(url, **words), context, secret, told or Told())
    made.pause = 0.001
    return made


def event(number: int, type: str = "app.ready") -> Event:
    return {"id": number, **draft(type, f"web:{number}", f"event {number}", "", {}, now=1.0)}


def ids(receiver: Receiver) -> list[int]:
    return [json.loads(post.body)["id"] for post in receiver.posts]


def test_events_arrive_in_their_order_each_once() -> None:
    async def journey() -> None:
        async with Receiver() as receiver:
            hook = webhook(receiver.url)
            for number in range(1, 21):
                hook.offer(event(number))
            await until(lambda: not hook.waiting)
            assert ids(receiver) == list(range(1, 21))

    run(journey())


def test_only_what_is_wanted_and_nothing_about_itself() -> None:
    async def journey() -> None:
        async with Receiver() as receiver:
            hook = webhook(receiver.url, only=["warning", "app.ready"])
            for number, type in enumerate(("app.ready", "app.stopped", "server.out", "events.undelivered", "events.delivered")):
                hook.offer(event(number, type))
            await until(lambda: not hook.waiting)
            assert ids(receiver) == [0, 2]

    run(journey())


def test_it_is_tried_again_and_the_trouble_is_told_once() -> None:
    async def journey() -> None:
        told = Told()
        async with Receiver(b"HTTP/1.1 500 Oops\r\n\r\n", b"", b"HTTP/1.1 429 Slow\r\n\r\n", TAKEN) as receiver:
            hook = webhook(receiver.url, told)
            hook.offer(event(1))
            hook.offer(event(2))
            await until(lambda: not hook.waiting)
            assert ids(receiver) == [1, 1, 1, 1, 2]
            heads = [post.head.lower().partition("webhook-id: ")[2].partition("\r\n")[0] for post in receiver.posts]
            assert len(set(heads[:4])) == 1, "the receiver can tell that it is the same"
        assert told.types == ["events.undelivered", "events.delivered"]
        assert "status 500" in told.texts[0]

    run(journey())


def test_what_will_never_be_taken_is_not_tried_again() -> None:
    async def journey() -> None:
        told = Told()
        async with Receiver(b"HTTP/1.1 404 Not Found\r\n\r\n", TAKEN) as receiver:
            hook = webhook(receiver.url, told)
            hook.offer(event(1))
            hook.offer(event(2))
            await until(lambda: not hook.waiting)
            assert ids(receiver) == [1, 2]
        assert told.texts[1].endswith("takes events again, 1 events are lost")

    run(journey())


def test_a_receiver_that_hangs_holds_nobody_up_and_the_queue_is_bounded() -> None:
    async def journey() -> None:
        told = Told()
        async with Receiver(silence) as receiver:
            hook = webhook(receiver.url, told)
            for number in range(1, 2 * QUEUE + 1):
                hook.offer(event(number))
                assert hook.waiting <= QUEUE
            assert hook.lost == QUEUE
            await until(lambda: receiver.posts)
            hook.cancel()
            assert hook.waiting == 0

    run(journey())


def test_events_of_a_time_without_a_receiver_arrive_when_it_is_there() -> None:
    async def journey() -> None:
        receiver = Receiver()
        async with receiver:
            pass
        hook = webhook(receiver.url)
        hook.offer(event(1))
        await until(lambda: hook.problem)
        async with receiver:
            await until(lambda: not hook.waiting)
            assert ids(receiver) == [1]

    run(journey())


def test_at_the_end_it_gets_a_moment() -> None:
    async def journey() -> None:
        async with Receiver() as receiver:
            hook = webhook(receiver.url)
            hook.offer(event(1))
            await hook.close(20.0)
            hook.offer(event(2))
            assert ids(receiver) == [1]
        async with Receiver(silence) as receiver:
            hook = webhook(receiver.url)
            hook.offer(event(1))
            await hook.close(0.05)
            assert hook.waiting == 0

    run(journey())


def test_secrets_come_from_files() -> None:
    async def journey() -> None:
        async with Receiver() as receiver:
            hook = webhook("", secrets={"/url": receiver.url, "/key": "hush"}, url_file="/url", secret_file="/key")
            assert await hook.test(event(1)) == ""
            assert "webhook-signature: v1," in receiver.posts[0].head
            assert "hush" not in receiver.posts[0].head
            assert receiver.url not in hook.name

    run(journey())


@pytest.mark.parametrize("content", ["", "ftp://a.b/", "https://a b/", "https://a.b/\x00", "httpsé", "/etc/passwd"])
def test_a_file_without_a_url_is_told(content: str) -> None:
    async def journey() -> None:
        hook = webhook("", secrets={"/url": content}, url_file="/url")
        assert await hook.test(event(1)) == "/url holds no URL"
        missing = webhook("", url_file="/none")
        assert await missing.test(event(1)) == "/none is not there"

    run(journey())
