"""A stand-in for GitHub's interface, so that the real `gh` can be run without a network or an
account.

`gh` speaks plain HTTP to the host `github.localhost`; the server is its proxy, so that no
certificate is needed. Of GraphQL it answers what it is asked about one repository, `ada/engine`;
what it does not know is null.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

HOST = "github.localhost"
REPOSITORY = "ada/engine"
CLASSIC = (
    "Projects (classic) is being deprecated in favor of the new Projects experience, see: "
    "https://github.blog/changelog/2024-05-23-sunset-notice-projects-classic/."
)
_TIME = "2026-11-30T06:00:00Z"
Selection: TypeAlias = "dict[str, tuple[str, Selection]]"


class GitHubServer:
    """Issues and pull requests of one repository. Classic projects are gone, as on github.com."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self.asked: list[str] = []
        """The requests: `PATCH /repos/…`, or `graphql` and the beginning of the query."""
        self.status = 0
        """An HTTP status to refuse all requests with."""
        self._port = 0

    @contextmanager
    def serving(self) -> Iterator[GitHubServer]:
        """Serve while the block runs."""
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        self._port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which `gh` speaks to this server."""
        return {
            "HTTP_PROXY": f"http://127.0.0.1:{self._port}",
            "NO_PROXY": "127.0.0.1",
            "GH_HOST": HOST,
            "GH_TOKEN": "for-a-test",
            "GH_ENTERPRISE_TOKEN": "for-a-test",
        }

    def add_issue(self, number: int, title: str, *labels: str) -> None:
        """Have an open issue."""
        self.issues.append(
            {"number": number, "title": title, "body": f"about {title}", "labels": labels}
        )

    # --- what the handler asks --------------------------------------------------------------------

    def patch(self, number: int, changes: dict[str, Any]) -> dict[str, Any] | None:
        """Change a pull request; None if there is none."""
        pull = next((each for each in self.pulls if each["number"] == number), None)
        if pull is not None:
            pull.update(
                {name: changes[name] for name in ("title", "body", "base") if name in changes}
            )
        return pull

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query or mutation."""
        if "projectCards" in query:
            error = {
                "message": CLASSIC,
                "type": "NOT_FOUND",
                "path": ["repository", "pullRequest", "projectCards"],
            }
            return {"data": {"repository": None}, "errors": [error]}
        if "createPullRequest" in query:
            known = self._create(variables["input"])
        elif re.search(r"__type\(|__schema", query):  # Which fields does this server know?
            names = [{"name": "statusCheckRollup"}]
            known = {"__type": {"fields": names, "enumValues": names, "inputFields": names}}
        else:
            known = self._known(variables)
        return {"data": _pruned(known, _selection(query))}

    def _create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        number = 1 + max([each["number"] for each in [*self.issues, *self.pulls]], default=0)
        self.pulls.append(
            {
                "number": number,
                "title": wanted["title"],
                "body": wanted.get("body", ""),
                "head": wanted["headRefName"],
                "base": wanted["baseRefName"],
                "draft": wanted.get("draft", False),
            }
        )
        return {"createPullRequest": {"pullRequest": _pull(self.pulls[-1])}}

    def _known(self, variables: dict[str, Any]) -> dict[str, Any]:
        """All that a query can choose from."""
        number = (
            variables.get("number") or variables.get("pr_number") or variables.get("issue_number")
        )
        search = str(variables.get("query") or variables.get("q") or "")
        head = variables.get("headBranch") or variables.get("headRefName")
        if found := re.search(r'head:"?([\w./-]+)"?', search):
            head = found[1]
        labels = set(variables.get("labels") or re.findall(r'label:"?([\w-]+)"?', search))
        pulls = [_pull(each) for each in self.pulls if head in (None, each["head"])]
        issues = [_issue(each) for each in self.issues if labels <= set(each["labels"])]
        pull = next((each for each in pulls if each["number"] == number), None)
        issue = next((each for each in issues if each["number"] == number), None)
        owner, name = REPOSITORY.split("/")
        repository = {
            "id": "R_1",
            "name": name,
            "nameWithOwner": REPOSITORY,
            "owner": {"id": "U_1", "login": owner},
            "hasIssuesEnabled": True,
            "viewerPermission": "WRITE",
            "url": f"http://{HOST}/{REPOSITORY}",
            "defaultBranchRef": {"name": "main", "target": {"oid": "0" * 40}},
            "issue": issue or pull,
            "issueOrPullRequest": issue or pull,
            "pullRequest": pull,
            "pullRequests": _nodes(pulls),
            "issues": _nodes(issues),
        }
        searched = pulls if "type:pr" in search or "is:pr" in search else issues
        either = [*issues, *pulls]
        return {
            "node": next((each for each in either if each["id"] == variables.get("id")), None),
            "repository": repository,
            "repo_000": repository,
            "viewer": {"login": owner, "id": "U_1"},
            "search": {**_nodes(searched), "issueCount": len(searched)},
        }


def _nodes(values: list[dict[str, Any]]) -> dict[str, Any]:
    edges = [{"node": value} for value in values]
    page = {"hasNextPage": False, "endCursor": ""}
    return {"nodes": values, "edges": edges, "totalCount": len(values), "pageInfo": page}


def _issue(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "Issue",
        "id": f"I_{given['number']}",
        "number": given["number"],
        "title": given["title"],
        "body": given["body"],
        "state": "OPEN",
        "author": {"login": "bob", "id": "U_2", "name": "Bob"},
        "labels": _nodes(
            [
                {"id": f"L_{name}", "name": name, "color": "", "description": ""}
                for name in given.get("labels", ())
            ]
        ),
        "comments": _nodes([]),
        "url": f"http://{HOST}/{REPOSITORY}/issues/{given['number']}",
        "createdAt": _TIME,
        "updatedAt": _TIME,
    }


def _pull(given: dict[str, Any]) -> dict[str, Any]:
    owner = {"id": "U_1", "login": REPOSITORY.partition("/")[0], "name": "Ada"}
    return {
        **_issue(given),
        "__typename": "PullRequest",
        "id": f"PR_{given['number']}",
        "url": f"http://{HOST}/{REPOSITORY}/pull/{given['number']}",
        "isDraft": given["draft"],
        "headRefName": given["head"],
        "baseRefName": given["base"],
        "headRepository": {"id": "R_1", "name": REPOSITORY.partition("/")[2]},
        "headRepositoryOwner": owner,
        "isCrossRepository": False,
        "files": _nodes([{"path": "made.txt", "additions": 1, "deletions": 0}]),
        "commits": _nodes(
            [{"commit": {"oid": "1" * 40, "messageHeadline": "Do it", "authors": _nodes([])}}]
        ),
    }


# --- GraphQL --------------------------------------------------------------------------------------


def _selection(query: str) -> Selection:
    """What a query chooses, as {name in the answer: (field, what it chooses)}, fragments put in."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', query)
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    text = re.sub(r"@\w+", "", text)
    tokens = re.findall(r"\.\.\.|[{}]|\w+|:", text)
    fragments: dict[str, Selection] = {}
    whole: Selection = {}
    for _ in range(3):  # Fragments may stand below those that name them.
        waiting = list(tokens)
        while waiting:
            heading: list[str] = []
            while waiting and waiting[0] != "{":
                heading.append(waiting.pop(0))
            if not waiting:
                break
            waiting.pop(0)
            chosen = _chosen(waiting, fragments)
            if heading[:1] == ["fragment"]:
                fragments[heading[1]] = chosen
            else:
                whole = chosen
    return whole


def _chosen(tokens: list[str], fragments: dict[str, Selection]) -> Selection:
    """Take the tokens up to the brace that closes."""
    chosen: Selection = {}
    last = ""
    while (token := tokens.pop(0)) != "}":
        if token == "{":
            chosen[last] = (chosen[last][0], _chosen(tokens, fragments))
        elif token == ":":
            chosen[last] = (tokens.pop(0), {})
        elif token != "...":
            last = token
            chosen[token] = (token, {})
        elif tokens[0] == "on":
            del tokens[:3]  # `on TYPE {`
            chosen.update(_chosen(tokens, fragments))
        else:
            chosen.update(fragments.get(tokens.pop(0), {}))
    return chosen


def _pruned(value: Any, chosen: Selection) -> Any:
    if isinstance(value, list):
        return [_pruned(each, chosen) for each in value]
    if not isinstance(value, dict) or not chosen:
        return value
    return {
        name: _pruned(value.get(field, value.get(name)), inner)
        for name, (field, inner) in chosen.items()
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[GitHubServer]

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        given: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {}
        query = given.get("query", "")
        self.hub.asked.append(f"graphql {query[:60]}" if query else f"{self.command} {path}")
        if self.hub.status:
            self._reply({"message": "refused by the test"}, self.hub.status)
        elif path.endswith("/graphql"):
            self._reply(self.hub.graphql(query, given.get("variables") or {}))
        elif (found := re.search(r"/pulls/(\d+)$", path)) and self.command == "PATCH":
            pull = self.hub.patch(int(found[1]), given)
            self._reply(pull or {"message": "Not Found"}, 200 if pull else 404)
        elif found and "diff" in self.headers.get("accept", ""):
            self._reply(
                "diff --git a/made.txt b/made.txt\n--- /dev/null\n+++ b/made.txt\n@@ -0,0 +1 @@\n"
                "+made\n"
            )
        else:
            self._reply({})

    def _reply(self, value: object, status: int = 200) -> None:
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header(
            "content-type",
            "text/plain" if isinstance(value, str) else "application/json; charset=utf-8",
        )
        self.send_header("content-length", str(len(data)))
        self.send_header("X-Oauth-Scopes", "repo")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - as the base class calls them
