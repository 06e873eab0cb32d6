// npm http-proxy as people use it who know that it needs an agent to keep connections.
const http = require("http");
const https = require("https");
const httpProxy = require("http-proxy");

const [host, port] = "{LISTEN}".split(":");
const proxy = httpProxy.createProxyServer({
    target: "https://{DEVICE}",
    secure: false,
    headers: { Authorization: "Bearer {TOKEN}" },
    agent: new https.Agent({ keepAlive: true }),
});
proxy.on("error", (error, request, response) => {
    response.writeHead?.(502);
    response.end();
});
http.createServer((request, response) => {
    request.url = request.url.replace(/^\/device\//, "/");
    proxy.web(request, response);
}).listen(Number(port), host);
