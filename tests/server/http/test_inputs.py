"""Path, query and body become one set of fields, checked as one."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from problems import InvalidInput
from server.contract.operations import Contract
from server.http.inputs import Arguments, InputReader, snake_case

USER = "5d48a1f5fd1a4d1be0d4a1c1"
OTHER = "5d48a1f5fd1a4d1be0d4a1c2"


@pytest.fixture
def reader(contract: Contract) -> Any:
    """`reader("createUser")`: how the input of an operation is read."""

    def make(operation_id: str) -> InputReader:
        return InputReader(next(o for o in contract.operations if o.operation_id == operation_id))

    return make


def details(reader: Any, *sources: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        reader.read(*sources, None)
    found: dict[str, str] = caught.value.extra["details"]
    return found


def test_the_path_wins_over_the_query_and_that_over_the_body(reader: Any) -> None:
    values = reader("updateUser").read(
        {"id": USER}, {"user": OTHER, "name": "query"}, {"user": OTHER, "name": "body", "sess": "body"}, None
    )
    assert (values["user"], values["name"], values["sess"]) == (ObjectId(USER), "query", "body")


def test_what_is_empty_gives_way_to_what_comes_later(reader: Any) -> None:
    """Clients that fill in every field of a form rely on it."""
    values = reader("updateUser").read({"id": USER}, {"name": ""}, {"name": "body"}, None)
    assert values["name"] == "body"
    assert details(reader("updateUser"), {"id": USER}, {"sess": ""}, {}) == {
        "sess": '"Session identifier" is not allowed to be empty'
    }


def test_every_field_may_come_in_query_or_body(reader: Any) -> None:
    login = {"username": "ada", "password": "correct horse battery"}
    assert reader("createUser").read({}, login, {}, None)["username"] == "ada"
    assert reader("uploadMessage").read(
        {"user": USER, "mailbox": OTHER}, {}, {"unseen": True, "raw": "Subject: x\r\n\r\n"}, None
    )["unseen"]


def test_access_token_is_no_field(reader: Any) -> None:
    values = reader("getUser").read({"id": USER}, {"accessToken": "x"}, {"accessToken": "y"}, None)
    assert "accessToken" not in values


def test_me_is_replaced_wherever_it_stands(reader: Any) -> None:
    me = ObjectId(USER)
    assert reader("getUser").read({"id": "me"}, {}, {}, me)["user"] == me
    assert list(details(reader("getUser"), {"id": "me"}, {}, {})) == ["user"]
    assert list(details(reader("getUser"), {"id": "ME"}, {}, {})) == ["user"]


def test_all_faults_are_told_at_once_by_the_path_of_the_field(reader: Any) -> None:
    body = {
        "username": "",
        "quota": -1,
        "tags": ["a", ""],
        "mailboxes": {"sent": 1},
        "shoe": 1,
        "limits": None,
    }
    assert details(reader("createUser"), {}, {}, body) == {
        "username": '"username" is not allowed to be empty',
        "password": '"password" is required',
        "quota": '"quota" must be greater than or equal to 0',
        "tags,1": '"tags[1]" is not allowed to be empty',
        "mailboxes,sent": '"mailboxes.sent" must be a string',
        "shoe": '"shoe" is not allowed',
        "limits": '"limits" is not allowed',
    }


def test_unknown_fields_are_passed_over_where_the_contract_says_so(reader: Any) -> None:
    values = reader("getUsers").read({}, {"shoe": "1", "limit": "5"}, {}, None)
    assert "shoe" not in values
    assert values["limit"] == 5


@pytest.mark.parametrize(
    "query",
    ["tags[]=a&tags[]=b", "tags=a&tags=b", "tags[0]=a&tags[1]=b", "tags[]=a&tags=b"],
)
def test_spellings_of_a_list(client: Any, query: str) -> None:
    path = f"/users?username=ada&password=correct+horse+battery&{query}"
    user = client.post(path).json["id"]
    assert client.get(f"/users/{user}").json["tags"] == ["a", "b"]


@pytest.mark.parametrize("query", ["mailboxes.sent=Gesendet", "mailboxes[sent]=Gesendet"])
def test_spellings_of_an_object(client: Any, query: str) -> None:
    user = client.post(f"/users?username=ada&password=correct+horse+battery&{query}").json["id"]
    paths = [box["path"] for box in client.get(f"/users/{user}/mailboxes").json["results"]]
    assert "Gesendet" in paths


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("metaData[plan]=gold&metaData[owner][name]=Ada", {"plan": "gold", "owner": {"name": "Ada"}}),
        ("metaData[tags][]=a", {"tags": ["a"]}),
        ("metaData.plan=gold", {"plan": "gold"}),
        ("metaData[a][b][c][d]=1", {"a": {"b": {"c": {"d": "1"}}}}),
        ('metaData={"plan":"gold"}', {"plan": "gold"}),
    ],
)
def test_spellings_of_free_data(client: Any, query: str, data: dict[str, Any]) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/users", data=f"username=ada&password=correct+horse+battery&{query}", headers=form)
    assert client.get(f"/users/{answer.json['id']}").json["metaData"] == data


@pytest.mark.parametrize("query", ["or.from=grace", "or[from]=grace"])
def test_a_dotted_name_of_the_contract_is_one_name(client: Any, make_user: Any, query: str) -> None:
    assert client.get(f"/users/{make_user('ada')}/search?{query}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "__proto__[x]=1",
        "constructor.prototype=1",
        "mailboxes[sent][x]=1",
        "metaData[a][b][c][d][e]=1",
        "metaData[]=1",
        "metaData=1&metaData[a]=1",
        "a[b][c]=1",
        "[]=1",
        "=1",
        "%00=1",
        "a%ff=1",
    ],
)
def test_strange_names_are_unknown_fields(client: Any, query: str) -> None:
    answer = client.post(f"/users?{query}", json={"username": "ada", "password": "correct horse battery"})
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")


def test_an_operator_of_the_database_is_no_value(client: Any) -> None:
    for body in ({"username": {"$gt": ""}, "password": "x"}, {"username": "ada", "password": {"$ne": None}}):
        assert client.post("/authenticate", json=body).status_code == 400
    assert client.get("/users?query[$ne]=x").status_code == 200, "passed over, as an unknown field"
    assert client.get("/users?limit[$gt]=1").json["results"] == []


def test_names_of_arguments() -> None:
    assert [snake_case(name) for name in ("markAsSeen", "or.query", "_id", "fileContentHash")] == [
        "mark_as_seen", "or_query", "_id", "file_content_hash",
    ]  # fmt: skip


def test_a_handler_that_does_not_fit_is_found_at_start(contract: Contract) -> None:
    operation = next(o for o in contract.operations if o.operation_id == "updateMailbox")

    def no_body(call: Any, user: Any, mailbox: Any) -> None: ...

    def no_mailbox(call: Any, user: Any, body: Any) -> None: ...

    with pytest.raises(TypeError, match="updateMailbox: the handler lacks the argument body"):
        Arguments(operation, no_body)
    with pytest.raises(TypeError, match=r"updateMailbox: the handler lacks the arguments \['mailbox'\]"):
        Arguments(operation, no_mailbox)
    Arguments(operation, lambda **_: None)
