"""What receivers get: each event once, in order, numbered and signed, whatever they or we do in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import standardwebhooks
from bson import ObjectId

from jobs.runner import Runner
from jobs.webhooks.attempt import KEPT_TRYING, LONGEST_WAIT, Outcome, pause, result_of
from jobs.webhooks.delivery import Delivery
from network.post import Poster, PostFailed
from network.ssrf_guard import addresses_of
from security.webhooks import hook_secret
from storage.events.webhook_queue import LEASE
from storage.store import Store
from tests.jobs.conftest import Crash, HandClock
from tests.jobs.webhooks.conftest import Post, Receiver, deliver, tell, told

ADA, BOB = ObjectId(), ObjectId()


def left(store: Store) -> int:
    return store.databases.main["webhookqueue"].count_documents({})


def dead(store: Store) -> list[tuple[str, int, str]]:
    return [
        (row["body"]["path"], row["attempts"], row["error"]) for row in store.webhook_queue.dead(None, 100)
    ]


def test_a_whole_request(store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock) -> None:
    host = receiver.url.removeprefix("http://").partition("/")[0]
    store.webhooks.create(["mailbox.*"], receiver.url.replace("http://", "http://ann:p%40ss@"), ADA)
    mailbox = ObjectId()
    store.events.emit("mailbox.created", user=ADA, mailbox=mailbox, path="Wörk")
    clock.move(seconds=3)
    assert deliver(store, delivery) == 1
    (post,) = receiver.posts
    time = int(clock.now.timestamp() * 1000) - 3000
    assert post.path == "/hook?a=b"
    assert post.headers == {
        "host": host, "accept-encoding": "identity", "content-length": str(len(post.body)), "connection": "close",
        "authorization": "Basic YW5uOnBAc3M=", "content-type": "application/json",
        "accept": "application/json, text/plain, */*", "user-agent": "Mallard", "webhook-id": post.event["id"],
        "webhook-timestamp": str(int(clock.now.timestamp())), "webhook-attempt": "1",
    }  # fmt: skip
    assert (
        post.body
        == (
            f'{{"id":"{post.event["id"]}","time":{time},"ev":"mailbox.created","user":"{ADA}",'
            f'"mailbox":"{mailbox}","path":"Wörk"}}'
        ).encode()
    )
    assert left(store) == 0
    assert deliver(store, delivery) == 0


def test_a_receiver_that_is_down_for_an_hour_gets_every_event_once_and_in_order(
    store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    """Seen from the receiver: what it took is all that was told, in order for each account, with growing attempts."""
    store.webhooks.create(["*"], receiver.url, None)
    end = clock.now + timedelta(hours=1)
    taken: list[Any] = []

    def answer(post: Any) -> int:
        if clock.now < end:
            return 503
        taken.append(post)
        return 200

    receiver.answer = answer
    names: dict[ObjectId, list[str]] = {ADA: [], BOB: []}
    for minute in range(90):
        for user in (ADA, BOB):
            names[user].append(f"{minute}")
            tell(store, user, f"{minute}")
        for _ in range(30):
            deliver(store, delivery)
            clock.move(seconds=2)
    clock.move(hours=1)
    deliver(store, delivery)
    for user in (ADA, BOB):
        assert [post.event["path"] for post in taken if post.event["user"] == str(user)] == names[user]
    ids = [post.event["id"] for post in taken]
    assert len(ids) == len(set(ids)) == 180
    tries = [post for post in receiver.posts if post.event["user"] == str(ADA) and post.event["path"] == "0"]
    assert [post.attempt for post in tries] == list(range(1, len(tries) + 1))
    assert 10 <= len(tries) <= 14, "back-off keeps the number of attempts small"
    assert len({post.event["id"] for post in tries}) == 1
    others = [post for post in receiver.posts if post.event["path"] != "0"]
    assert {post.attempt for post in others} == {1}
    assert (left(store), dead(store)) == (0, [])


def test_one_account_does_not_wait_for_another(store: Store, receiver: Receiver, delivery: Delivery) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    receiver.answer = lambda post: 500 if post.event.get("user") == str(ADA) else 200
    tell(store, ADA, "1", "2")
    tell(store, BOB, "1", "2")
    tell(store, None, "example.com")
    deliver(store, delivery)
    assert told(receiver, ADA) == ["1"], "the second waits for the first"
    assert told(receiver, BOB) == ["1", "2"]
    assert [event["ev"] for event in receiver.events].count("address.domain.renamed") == 1


class Dying(Poster):
    """Sends, and the process dies before the answer is noted."""

    def post(self, *args: Any) -> int:
        super().post(*args)
        raise Crash


def test_a_process_that_dies_over_an_attempt_is_followed_by_another(
    store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    tell(store, ADA, "1", "2")
    with pytest.raises(Crash):
        deliver(store, Delivery(store, Dying(addresses_of)))
    assert deliver(store, delivery) == 0, "the lease still runs"
    clock.now += LEASE
    deliver(store, delivery)
    assert [(post.event["path"], post.attempt) for post in receiver.posts] == [("1", 1), ("1", 2), ("2", 1)]
    assert receiver.events[0] == receiver.events[1], "the same id tells that it is the same"


class Slow(Poster):
    """Takes longer than the lease, during which another process takes over."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        super().__init__(addresses_of)
        self._meanwhile = meanwhile

    def post(self, *args: Any) -> int:
        status = super().post(*args)
        self._meanwhile()
        return status


def test_who_was_taken_over_sends_nothing_more(
    store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    tell(store, ADA, "1", "2", "3")

    def take_over() -> None:
        clock.now += LEASE
        deliver(store, delivery)

    deliver(store, Delivery(store, Slow(take_over)))
    assert told(receiver, ADA) == ["1", "1", "2", "3"]
    assert left(store) == 0


def test_410_ends_the_hook(store: Store, receiver: Receiver, delivery: Delivery) -> None:
    hook = store.webhooks.create(["*"], receiver.url, None)
    receiver.answer = lambda post: 410
    tell(store, ADA, "1", "2")
    tell(store, BOB, "1")
    deliver(store, delivery)
    assert len(receiver.posts) == 1
    assert store.webhooks.find(hook) is None
    assert (left(store), store.webhook_queue.states()) == (0, {})
    tell(store, ADA, "3")
    assert left(store) == 0, "and nobody listens any more"


def test_a_hook_deleted_elsewhere_gets_nothing_more(
    store: Store, receiver: Receiver, delivery: Delivery
) -> None:
    hook = store.webhooks.create(["*"], receiver.url, None)
    tell(store, ADA, "1")
    store.databases.users["webhooks"].delete_one({"_id": hook})
    tell(store, ADA, "2")
    assert left(store) == 2, "another process has not heard of it yet"
    deliver(store, delivery)
    assert (receiver.posts, left(store)) == ([], 0)


def test_an_event_that_is_refused_is_given_up_and_lets_the_next_pass(
    store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    receiver.answer = lambda post: 400 if post.event["path"] == "bad" else 200
    tell(store, ADA, "bad", "good")
    began = clock.now
    while left(store) > 1:
        deliver(store, delivery)
        clock.move(seconds=10)
    assert told(receiver, ADA) == ["bad"] * 10 + ["good"]
    assert dead(store) == [("bad", 10, "HTTP 400")]
    assert timedelta(minutes=10) < clock.now - began < timedelta(minutes=30)
    receiver.answer = lambda post: 200
    store.webhook_queue.requeue_dead([row["id"] for row in store.webhook_queue.dead(None, 10)])
    deliver(store, delivery)
    assert (receiver.events[-1]["path"], receiver.posts[-1].attempt, left(store)) == ("bad", 11, 0)


def test_a_target_out_of_reach_for_days_loses_its_oldest_events_only(
    store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    receiver.answer = lambda post: 503
    tell(store, ADA, "old", "as old", "as old, too")
    for _ in range(int(KEPT_TRYING / timedelta(minutes=20)) - 6):
        clock.move(minutes=20)
        deliver(store, delivery)
    tell(store, ADA, "young")
    attempts = len(receiver.posts)
    for _ in range(8):
        clock.move(minutes=20)
        deliver(store, delivery)
    attempts_by_path = {path: count for path, count, _ in dead(store)}
    assert list(attempts_by_path) == ["old", "as old", "as old, too"]
    assert attempts_by_path["as old"] == 0, "all at once: one by one they would grow faster than they end"
    assert len(receiver.posts) - attempts <= 6, "the pause stays long for those that follow"
    receiver.answer = lambda post: 200
    clock.now += LONGEST_WAIT * 1.25
    deliver(store, delivery)
    assert (receiver.events[-1]["path"], left(store)) == ("young", 3)


def test_a_redirect_is_not_followed(
    store: Store, receive: Callable[[], Receiver], delivery: Delivery
) -> None:
    first, second = receive(), receive()
    first.answer = lambda post: 307
    first.headers = {"Location": second.url}
    store.webhooks.create(["*"], first.url, None)
    tell(store, ADA, "1")
    deliver(store, delivery)
    assert (len(first.posts), len(second.posts), left(store)) == (1, 0, 1)


def test_a_receiver_verifies_the_signature_with_a_library_of_its_own(
    mongo: Any, store: Store, receiver: Receiver, poster: Poster
) -> None:
    now = Store(mongo, store.databases.names)
    hook, other = (now.webhooks.create(["*"], receiver.url, user) for user in (ADA, None))
    tell(now, ADA, "Wörk")
    deliver(now, Delivery(now, poster, "the service's secret"))
    secrets = {str(one): hook_secret("the service's secret", str(one)) for one in (hook, other)}
    assert len(set(secrets.values())) == 2
    found = [(verified(post, secret), post.event) for post in receiver.posts for secret in secrets.values()]
    assert sorted(event is not None for event, _ in found) == [False, False, True, True], (
        "by its own secret alone"
    )
    assert all(event == sent for event, sent in found if event)
    for post in receiver.posts:
        post.body = post.body.replace(b"rk", b"rm")
        assert [verified(post, secret) for secret in secrets.values()] == [None, None]


def verified(post: Post, secret: str) -> Any:
    """The event as the library returns it, None where the signature is not right."""
    try:
        return standardwebhooks.Webhook(secret).verify(post.body, post.headers)
    except standardwebhooks.WebhookVerificationError:
        return None


def test_without_a_secret_nothing_is_signed(store: Store, receiver: Receiver, delivery: Delivery) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    tell(store, ADA, "1")
    deliver(store, delivery)
    assert "webhook-signature" not in receiver.posts[0].headers


def test_a_private_target_gets_nothing_unless_it_is_allowed(store: Store, receiver: Receiver) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    tell(store, ADA, "1")
    deliver(store, Delivery(store, Poster()))
    assert receiver.posts == []
    (state,) = store.webhook_queue.states().values()
    assert state["error"] == "127.0.0.1 has no public address, and nothing is sent to a private one"


def test_a_hook_of_a_deleted_account_is_told_of_the_end_and_ends(
    client: Any, store: Store, receiver: Receiver, delivery: Delivery, clock: HandClock
) -> None:
    body = {"username": "ann", "password": "correct horse", "address": "ann@example.com"}
    ann = client.post("/users", json=body).json["id"]
    bound = store.webhooks.create(["user.*"], receiver.url, ObjectId(ann))
    idle = store.webhooks.create(["marked.*"], receiver.url, ObjectId(ann))
    common = store.webhooks.create(["dkim.*"], receiver.url, None)
    receiver.answer = lambda post: 503
    client.delete(f"/users/{ann}")
    deliver(store, delivery)
    assert Runner(store).run_one()
    assert [hook["_id"] for hook in store.webhooks.all(10)] == [bound, common], (
        f"{idle} had nothing to be told"
    )
    receiver.answer = lambda post: 200
    clock.move(minutes=1)
    deliver(store, delivery)
    assert [event["ev"] for event in receiver.events[1:]] == ["user.delete.started", "user.delete.completed"]
    assert [hook["_id"] for hook in store.webhooks.all(10)] == [common]


def test_a_hook_of_an_account_that_may_come_back_stays(
    client: Any, store: Store, receiver: Receiver, delivery: Delivery
) -> None:
    body = {"username": "ann", "password": "correct horse", "address": "ann@example.com"}
    ann = client.post("/users", json=body).json["id"]
    bound = store.webhooks.create(["user.*"], receiver.url, ObjectId(ann))
    client.delete(f"/users/{ann}?deleteAfter=2090-01-01T00:00:00Z")
    deliver(store, delivery)
    client.post(f"/users/{ann}/restore")
    deliver(store, delivery)
    assert [event["ev"] for event in receiver.events] == ["user.delete.started", "user.delete.cancelled"]
    assert store.webhooks.find(bound)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACCEPTED), (204, Outcome.ACCEPTED), (299, Outcome.ACCEPTED), (301, Outcome.REFUSED),
        (400, Outcome.REFUSED), (404, Outcome.REFUSED), (408, Outcome.UNREACHABLE), (410, Outcome.HOOK_GONE),
        (429, Outcome.UNREACHABLE), (500, Outcome.UNREACHABLE), (503, Outcome.UNREACHABLE), (101, Outcome.UNREACHABLE),
    ],
)  # fmt: skip
def test_what_a_status_says(status: int, outcome: Outcome) -> None:
    assert result_of(status).outcome is outcome


def test_pauses_double_up_to_half_an_hour_and_differ() -> None:
    assert [pause(n, lambda: 0.5).total_seconds() for n in range(12)] == [
        2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800,
    ]  # fmt: skip
    assert pause(1_000, lambda: 0.0) == LONGEST_WAIT * 0.75
    assert pause(0, lambda: 1.0).total_seconds() == 2.5


def test_no_answer_is_a_failed_attempt(store: Store, delivery: Delivery, clock: HandClock) -> None:
    class Silent:
        def post(self, url: str, body: bytes, headers: Any) -> int:
            raise PostFailed("No answer in time")

    store.webhooks.create(["*"], "https://hooks.example.com", None)
    tell(store, ADA, "1")
    deliver(store, Delivery(store, Silent(), rand=lambda: 0.5))
    (state,) = store.webhook_queue.states().values()
    assert (state["failures"], state["error"]) == (1, "No answer in time")
    assert state["next"] == clock.now + timedelta(seconds=2)
