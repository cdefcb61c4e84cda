"""The endpoints of the ecgs service. A handler is a sequence: read, load, save, respond.

What takes time runs without a connection: an upload is parsed and packed before its transaction, and signals become
JSON or a picture after the connection is returned.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import partial

import orjson

from api.accounts.tokens import AccountCaller, Token
from api.ecgs.gate import EcgsSettings, UploadsBusyError, admit_upload
from api.ecgs.plot import PaperScale, render_plot
from api.ecgs.schemas import (
    CreatedEcg,
    DeletedEcg,
    EcgInsights,
    EcgPage,
    EcgPath,
    ListedEcg,
    ListQuery,
    PlotQuery,
    Position,
    RecordedEcg,
    format_cursor,
)
from api.ecgs.uploads import BODY_LIMIT, BodyTooComplexError, NewEcg, parse_ecg
from api.http.responses import Response, Returns
from api.http.service import Service
from domain.accounts import USER
from domain.ecgs import EcgNotFoundError, Lead
from domain.timestamps import format_timestamp
from persistence import ecgs as store
from persistence.database.connections import Connection

service = Service("ecgs", requires=("accounts",), settings=EcgsSettings)

_user_endpoint = partial(service.endpoint, auth=Token(USER))


def encode_upload(request: NewEcg) -> store.EncodedEcg:
    """Returns the ECG as it is stored, with its insights."""
    return store.encode_ecg([Lead(lead.name, lead.signal) for lead in request.leads])


@_user_endpoint(
    "ecgs_create",
    route="ecgs",
    body=NewEcg,
    parse=parse_ecg,
    body_limit=BODY_LIMIT,
    limit=admit_upload,
    before=encode_upload,
    writes=True,
    idempotent=True,
    returns={201: Returns(CreatedEcg, "The ECG is stored", headers={"Location": "The path of the ECG"})},
    errors=[BodyTooComplexError, UploadsBusyError],
)
def ecgs_create(request: NewEcg, caller: AccountCaller, prepared: store.EncodedEcg, connection: Connection) -> Response:
    """Stores an ECG."""
    ecg_id, date = str(uuid.uuid4()), request.date or format_timestamp(datetime.now(UTC))
    store.insert_ecg(connection, caller.account_id, ecg_id, date, prepared)
    return Response(CreatedEcg(ecg_id=ecg_id, date=date), 201, headers={"Location": f"/ecgs/{ecg_id}"})


@_user_endpoint("ecgs_list", route="ecgs", methods="GET", query=ListQuery, returns={200: EcgPage})
def ecgs_list(query: ListQuery, caller: AccountCaller, connection: Connection) -> Response:
    """Lists the account's ECGs, the last uploaded first."""
    found = store.list_ecgs(connection, caller.account_id, query.before(caller.account_id), query.limit + 1)
    page = found[: query.limit]
    is_last = len(found) <= query.limit
    next_cursor = None if is_last else format_cursor(Position(caller.account_id, page[-1].id))
    ecgs = [ListedEcg(ecg_id=ecg.ecg_id, date=ecg.recorded_at, leads=ecg.leads) for ecg in page]
    return Response(EcgPage(ecgs=ecgs, next_cursor=next_cursor))


def _find(connection: Connection, caller: AccountCaller, path: EcgPath) -> store.Ecg:
    ecg = store.find_ecg(connection, caller.account_id, path.ecg_id)
    if ecg is None:
        raise EcgNotFoundError
    return ecg


def render_ecg(ecg: store.Ecg) -> bytes:
    """Returns an ECG as JSON. orjson writes the arrays without Python's integers in between."""
    leads = [{"name": name, "number_of_samples": signal.size, "signal": signal} for name, signal in ecg.leads]
    content = {"ecg_id": ecg.ecg_id, "date": ecg.recorded_at, "leads": leads}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


@_user_endpoint(
    "ecgs_read",
    route="ecgs/{ecg_id}",
    methods="GET",
    path=EcgPath,
    render=render_ecg,
    returns={200: RecordedEcg},
)
def ecgs_read(path: EcgPath, caller: AccountCaller, connection: Connection) -> Response:
    """Returns an ECG with its signals."""
    return Response(_find(connection, caller, path))


@_user_endpoint(
    "ecgs_insights", route="ecgs/{ecg_id}/insights", methods="GET", path=EcgPath, returns={200: EcgInsights}
)
def ecgs_insights(path: EcgPath, caller: AccountCaller, connection: Connection) -> Response:
    """Returns what is computed of each lead."""
    leads = store.find_insights(connection, caller.account_id, path.ecg_id)
    if leads is None:
        raise EcgNotFoundError
    return Response({"ecg_id": path.ecg_id, "leads": leads})


def render_picture(drawn: tuple[list[Lead], PaperScale | None]) -> bytes:
    """Returns the plot of leads."""
    return render_plot(*drawn)


@_user_endpoint(
    "ecgs_plot",
    route="ecgs/{ecg_id}/plot.svg",
    methods="GET",
    path=EcgPath,
    query=PlotQuery,
    render=render_picture,
    returns={200: Returns(None, "The leads, one below the other", media={"image/svg+xml": str})},
)
def ecgs_plot(path: EcgPath, query: PlotQuery, caller: AccountCaller, connection: Connection) -> Response:
    """Draws an ECG: the whole signal, or 10 seconds on ECG paper."""
    return Response((_find(connection, caller, path).leads, query.scale), media_type="image/svg+xml")


@_user_endpoint(
    "ecgs_delete", route="ecgs/{ecg_id}", methods="DELETE", path=EcgPath, writes=True, returns={200: DeletedEcg}
)
def ecgs_delete(path: EcgPath, caller: AccountCaller, connection: Connection) -> Response:
    """Deletes an ECG."""
    if not store.delete_ecg(connection, caller.account_id, path.ecg_id):
        raise EcgNotFoundError
    return Response(DeletedEcg(message="ECG deleted successfully", ecg_id=path.ecg_id))
