// Shows the description with Swagger UI. The key stays in this page's memory: it is sent to this host and stored nowhere.
"use strict";

let key = "";
let turn = 0;

function withKey(request) {
  if (key && new URL(request.url, location.href).origin === location.origin) {
    request.headers["x-functions-key"] = key;
  }
  return request;
}

async function show() {
  const mine = ++turn;
  const state = document.getElementById("state");
  const response = await fetch("/openapi.json", withKey({ url: "/openapi.json", headers: {} })).catch(() => null);
  if (mine !== turn) return; // a later key was faster
  if (!response || !response.ok) {
    state.textContent = response && response.status === 401 ? "This host wants a function key." : "The description cannot be read.";
    return;
  }
  state.textContent = key ? "The key is used for every call." : "";
  SwaggerUIBundle({
    spec: await response.json(),
    domNode: document.getElementById("api"),
    defaultModelsExpandDepth: 0,
    docExpansion: "list",
    requestInterceptor: withKey,
    validatorUrl: null,
    showMutatedRequest: false, // the curl command stands without the key
  });
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value.trim();
  show();
});
show();
