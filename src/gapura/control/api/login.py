"""`/v1/login`: the page that `gapura dashboard` opens. It stands by itself, so that it works without a built dashboard.

The code is behind the `#` of the URL, which no browser sends and no log sees; the page posts it and goes on to the dashboard.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto 0; padding: 0 1rem }
input, button { font: inherit; padding: .5rem .75rem; width: 100%; box-sizing: border-box; margin-top: .5rem }
p[role=alert] { min-height: 1.5em }
"""
_SCRIPT: Final = """
const id = /^id\\b/i.test(navigator.language);
const say = (text) => { document.querySelector('[role=alert]').textContent = text; };
if (id) {
  document.documentElement.lang = 'id';
  document.querySelector('h1').textContent = 'Masuk ke Gapura';
  document.querySelector('label span').textContent = 'Token, atau kode dari gapura dashboard';
  document.querySelector('button').textContent = 'Masuk';
}
async function enter(token) {
  say(id ? 'Sebentar …' : 'One moment …');
  try {
    const answer = await fetch('/v1/session', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token }),
    });
    if (answer.ok) { location.replace('/'); return; }
    const problem = await answer.json();
    say(problem.detail + (problem.hint ? ' – ' + problem.hint : ''));
  } catch (error) {
    say(id ? 'Gapura tidak menjawab.' : 'Gapura does not answer.');
  }
}
document.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  enter(document.querySelector('input').value.trim());
});
const code = location.hash.slice(1);
if (code) { history.replaceState(null, '', location.pathname); enter(decodeURIComponent(code)); }
"""
_PAGE: Final = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Gapura</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>
<body><main><h1>Log in to Gapura</h1>
<form><label><span>Token, or the code of gapura dashboard</span>
<input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Log in</button></form><p role="alert"></p></main><script>{_SCRIPT}</script></body></html>
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_hash(_SCRIPT)}'; style-src 'sha256-{_hash(_STYLE)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/v1/login")
async def page() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
