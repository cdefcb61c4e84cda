// Shows the OpenAPI document with Swagger UI. The key and a token stay in the memory of this page: they are sent to this
// host only and never stored.
"use strict";

let key = "";
let turn = 0;

function withKey(request) {
  if (key && new URL(request.url, location.href).origin === location.origin) {
    request.headers["x-functions-key"] = key;
  }
  return request;
}

// Leaves the tokens of services in the dialog of Authorize: the key has its own field.
function withoutKey(spec) {
  const { functionKey, ...others } = spec.components.securitySchemes;
  const { security, ...rest } = spec;
  const schemes = Object.keys(others).length ? others : undefined;
  return { ...rest, components: { ...spec.components, securitySchemes: schemes } };
}

// Shows an SVG in a response as an image: in an <img> it neither runs scripts nor loads anything.
function svgAsImage({ React }) {
  function Image({ content }) {
    const [url, setUrl] = React.useState();
    React.useEffect(() => {
      const created = URL.createObjectURL(new Blob([content], { type: "image/svg+xml" }));
      setUrl(created);
      return () => URL.revokeObjectURL(created);
    }, [content]);
    return React.createElement("img", { src: url, alt: "The image in the response", className: "response-image" });
  }
  const isSvg = (contentType) => /^image\/svg\+xml\b/i.test(contentType);
  const wrap = (Body) => (props) => React.createElement(isSvg(props.contentType) ? Image : Body, props);
  return { wrapComponents: { responseBody: wrap } };
}

async function show() {
  const mine = ++turn;
  const state = document.getElementById("state");
  const response = await fetch("/openapi.json", withKey({ url: "/openapi.json", headers: {} })).catch(() => null);
  if (mine !== turn) return; // a newer request has replaced this one
  if (!response || !response.ok) {
    state.textContent = response && response.status === 401 ? "This host requires a function key." : "The OpenAPI document cannot be loaded.";
    return;
  }
  state.textContent = key ? "The key is sent with every request." : "";
  SwaggerUIBundle({
    spec: withoutKey(await response.json()),
    domNode: document.getElementById("api"),
    defaultModelsExpandDepth: 0,
    docExpansion: "list",
    requestInterceptor: withKey,
    plugins: [svgAsImage],
    validatorUrl: null,
    showMutatedRequest: false, // shows the curl command without the key
  });
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value.trim();
  show();
});
show();
