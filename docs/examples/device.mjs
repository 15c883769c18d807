// A door counter for the mocban contract (docs/contract.md): Node.js 18, nothing to install.
//   node device.mjs mqtt://127.0.0.1:1883 demo door-1 FOLDER     each line on stdin, "IN OUT", is one count
// Facts wait in FOLDER/outbox.jsonl, each with its bytes; only the gateway's watermark takes them away.
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import readline from "node:readline";
const [url, tenant, device, folder] = process.argv.slice(2);
const base = `mocban/v1/${tenant}/${device}`, file = `${folder}/outbox.jsonl`;
const NAMESPACE = Buffer.from("6d6f6362616e5001800066616374732e", "hex");
const sha = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
// The outbox: {epoch, next, upto, chain} and what waits. Written whole to a new file, which then takes the old one's place.
let box = { epoch: randomBytes(8).toString("hex"), next: 1, upto: 0, chain: "0".repeat(32), rows: [] };
if (fs.existsSync(file)) box = JSON.parse(fs.readFileSync(file));
function save() {
  const fd = fs.openSync(`${file}.new`, "w");
  fs.writeSync(fd, JSON.stringify(box)); fs.fsyncSync(fd); fs.closeSync(fd); fs.renameSync(`${file}.new`, file);
}
function uuid5(name) { // the derived id: telling a happening twice is telling it once
  const h = createHash("sha1").update(NAMESPACE).update(name).digest().subarray(0, 16);
  h[6] = (h[6] & 0x0f) | 0x50; h[8] = (h[8] & 0x3f) | 0x80;
  return h.toString("hex").replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
function place(fact) { // give a fact its seq, its bytes and its chain value
  const seq = box.next++, payload = JSON.stringify({ v: 1, ...fact, epoch: box.epoch, seq });
  box.chain = sha(Buffer.from(box.chain, "hex"), sha(Buffer.from(payload)).subarray(0, 16)).subarray(0, 16).toString("hex");
  box.rows.push({ seq, fact, payload, chain: box.chain });
}
function tell(passage, entered, left) {
  const id = uuid5([device, "people-counted", passage].join("\x1f")), ts = new Date().toISOString();
  place({ id, ts, mono: process.uptime(), boot: "0".repeat(32), kind: "people-counted", kv: 1, data: { passage, entered, left } });
  save(); publishAll();
}
function acked({ epoch, upto, chain }) {
  const row = box.rows.find((each) => each.seq === upto);
  if (epoch !== box.epoch) return;
  if (upto >= box.next || (chain && row && row.chain !== chain)) { // a copied disk: a new epoch, the same facts
    const facts = box.rows.map((each) => each.fact);
    Object.assign(box, { epoch: randomBytes(8).toString("hex"), next: 1, upto: 0, chain: "0".repeat(32), rows: [] });
    facts.forEach(place); save(); link?.destroy(); return;
  }
  box.rows = box.rows.filter((each) => each.seq > upto); box.upto = Math.max(box.upto, upto); save();
}
// MQTT 5, as much of it as a counter needs.
const u16 = (n) => Buffer.from([n >> 8, n & 255]), text = (s) => Buffer.concat([u16(Buffer.byteLength(s)), Buffer.from(s)]);
function varint(n) { const out = []; do { out.push((n & 127) | (n > 127 ? 128 : 0)); n >>= 7; } while (n); return Buffer.from(out); }
function packet(head, ...parts) { const body = Buffer.concat(parts); return Buffer.concat([Buffer.from([head]), varint(body.length), body]); }
const props = (...parts) => { const body = Buffer.concat(parts); return Buffer.concat([varint(body.length), body]); };
const user = (k, v) => Buffer.concat([Buffer.from([38]), text(k), text(String(v))]);
const state = (online) => JSON.stringify({ v: 1, online, app: "door", epoch: box.epoch, version: "1", upto: box.upto, told: box.next - 1 });
let link = null, up = false, mid = 1, sent = 0;
function publish(topic, payload, retain, ...properties) {
  mid = (mid % 65535) + 1;
  link.write(packet(retain ? 0x33 : 0x32, text(topic), u16(mid), props(...properties), Buffer.from(payload)));
}
function publishAll() { // a window of 50; what no watermark covers goes out again below
  if (!up) return;
  for (const row of box.rows.filter((each) => each.seq > sent && each.seq <= box.upto + 50)) {
    publish(`${base}/evt/people-counted`, row.payload, false, user("epoch", box.epoch), user("seq", row.seq));
    sent = row.seq;
  }
}
function take(type, body) {
  if (type === 2) { // CONNACK
    if (body[1] !== 0) return link.destroy();
    link.write(packet(0x82, u16(1), props(), text(`${base}/ack`), Buffer.from([1])));
    publish(`${base}/state`, state(true), true);
    up = true; sent = 0; publishAll();
  } else if (type === 3) { // PUBLISH: our watermark, with QoS 1
    const end = 2 + body.readUInt16BE(0), id = body.subarray(end, end + 2);
    link.write(packet(0x40, id));
    try { acked(JSON.parse(body.subarray(end + 3 + body[end + 2]))); } catch { /* not for us to read */ }
    if (up) publishAll();
  } // 4 is PUBACK: it proves nothing
}
function connect() {
  const { hostname, port } = new URL(url);
  let buffer = Buffer.alloc(0);
  link = net.connect(Number(port || 1883), hostname, () => link.write(packet(0x10, text("MQTT"), Buffer.from([5, 0x2e]),
    u16(30), props(), text(`${device}.door`), props(), text(`${base}/state`), text(state(false)))));
  link.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (;;) {
      let size = 0, at = 1, shift = 0;
      do { if (at >= buffer.length) return; size |= (buffer[at] & 127) << shift; shift += 7; } while (buffer[at++] & 128);
      if (buffer.length < at + size) return;
      const type = buffer[0] >> 4, body = buffer.subarray(at, at + size);
      buffer = buffer.subarray(at + size); take(type, body);
    }
  });
  link.on("error", () => {}).on("close", () => { up = false; setTimeout(connect, 300 + Math.random() * 1000); });
}
setInterval(() => { if (up) link.write(packet(0xc0)); }, 15000); // keep-alive
setInterval(() => { sent = box.upto; publishAll(); }, 2000); // a broker may have dropped it
let passage = box.rows.length ? box.rows.at(-1).fact.data.passage : Number(box.passage || 0);
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [entered, left] = line.trim().split(/\s+/).map(Number);
  if (Number.isInteger(entered) && Number.isInteger(left)) { box.passage = ++passage; tell(passage, entered, left); }
});
connect();
