// A web server for a namespace of the lab, where no program under test serves: `file-server.ts PORT PATH=FILE…`. One JSON line per request.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';

const [port = '', ...pairs] = process.argv.slice(2);
const files = new Map(
  pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
);

const server = createServer((request, response) => {
  const path = new URL(request.url ?? '/', 'http://lab').pathname;
  const file = files.get(path);
  const say = {
    method: request.method,
    path,
    status: file === undefined ? 404 : 200,
    agent: request.headers['user-agent'],
  };
  process.stdout.write(`${JSON.stringify(say)}\n`);
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  const type = file.endsWith('.efi') ? 'application/efi' : 'application/octet-stream';
  response.writeHead(200, { 'content-length': statSync(file).size, 'content-type': type });
  if (request.method === 'HEAD') response.end();
  else createReadStream(file).pipe(response);
});
server.listen(Number(port), '0.0.0.0', () => process.stdout.write(`${JSON.stringify({ ready: true })}\n`));
