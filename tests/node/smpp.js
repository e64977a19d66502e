// A message centre that speaks SMPP 3.4, by node-smpp: another implementation than the one that is tested.
//
// What it does is told by lines of JSON on standard input, merged into `rules`; what happens is told on standard output.
const smpp = require('smpp');
const readline = require('readline');

const rules = {
  system_id: 'tillit',
  password: 'canary-8',
  ids: 'same',           // or hex_then_decimal, decimal_then_hex
  receipt: 'DELIVRD',    // or another state; empty: none
  err: '000',
  delay: 0,              // milliseconds before the receipt
  early: false,          // the receipt before the answer
  status: [],            // of the next answers; then 0
  silent: false,         // answer no text
  slow: false,           // answer the second part of a text a while later than the first
  deaf: false,           // answer nothing at all
  drop: false,           // cut the connection instead of an answer
  tlv: false,            // the receipt as parameters instead of words
  full: false,           // answer binds by 0x05
  nack: false,           // answer binds by a GENERIC_NACK
  elsewhere: false,      // receipts go to another bind of the account, if one takes them
};
const sessions = new Set();
let next = 0x1a2b3c;

const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

const shown = {
  same: (id) => [`m-${id}`, `m-${id}`],
  hex_then_decimal: (id) => [id.toString(16), String(id).padStart(10, '0')],
  decimal_then_hex: (id) => [String(id), id.toString(16).toUpperCase()],
};
const STATES = { ENROUTE: 1, DELIVRD: 2, EXPIRED: 3, DELETED: 4, UNDELIV: 5, ACCEPTD: 6, UNKNOWN: 7, REJECTD: 8 };

function report(from, pdu, id) {
  const others = rules.elsewhere ? [...sessions].filter((one) => one !== from && one.kind === 'bind_transceiver') : [];
  const session = others[0] || from;
  const about = { source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4 };
  const words = `id:${id} sub:001 dlvrd:001 submit date:261123051259 done date:2611230513 stat:${rules.receipt} ` +
    `err:${rules.err} Text:id:evil stat:REJECTD`;
  const sent = rules.tlv
    ? { ...about, short_message: '', receipted_message_id: id, message_state: STATES[rules.receipt] }
    : { ...about, short_message: words };
  session.deliver_sm(sent, (answer) => tell('answered', { status: answer.command_status }));
}

function submitted(session, pdu) {
  const words = pdu.short_message;
  tell('submit', {
    coding: pdu.data_coding, esm: pdu.esm_class, registered: pdu.registered_delivery,
    from: [pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr],
    to: [pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr],
    text: words.message === undefined ? words : words.message,
    udh: (words.udh || []).map((one) => one.toString('hex')).join(' '),
    payload: pdu.message_payload !== undefined,
  });
  if (rules.silent || rules.deaf) return;
  if (rules.drop) { session.socket.destroy(); return; }
  const status = rules.status.shift() || 0;
  if (status) { session.send(pdu.response({ command_status: status })); return; }
  const [answered, receipted] = shown[rules.ids](next++);
  const wanted = rules.receipt && (pdu.registered_delivery === 1 || (pdu.registered_delivery === 2 && rules.receipt !== 'DELIVRD'));
  if (wanted && rules.early) report(session, pdu, receipted);
  const answer = () => session.send(pdu.response({ message_id: answered }));
  const second = rules.slow && words.udh && words.udh[0][words.udh[0].length - 1] === 2;
  if (rules.early || second) setTimeout(answer, 100); else answer();
  if (wanted && !rules.early) setTimeout(() => report(session, pdu, receipted), rules.delay);
}

const server = smpp.createServer({}, (session) => {
  sessions.add(session);
  session.on('close', () => { sessions.delete(session); tell('closed'); });
  session.on('error', () => {});
  const bind = (pdu) => {
    if (rules.deaf) return;
    if (rules.nack) { session.send(new smpp.PDU('generic_nack', { command_status: 3, sequence_number: pdu.sequence_number })); return; }
    if (rules.full) { session.send(pdu.response({ command_status: smpp.ESME_RALYBND })); return; }
    if (pdu.system_id !== rules.system_id || pdu.password !== rules.password) {
      tell('refused');
      session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
      session.close();
      return;
    }
    session.kind = pdu.command;
    tell('bound', { as: pdu.command, type: pdu.system_type, version: pdu.interface_version });
    session.send(pdu.response({ system_id: 'centre' }));
  };
  session.on('bind_transceiver', bind);
  session.on('bind_transmitter', bind);
  session.on('submit_sm', (pdu) => submitted(session, pdu));
  session.on('enquire_link', (pdu) => { tell('enquire_link'); if (!rules.deaf) session.send(pdu.response()); });
  session.on('unbind', (pdu) => { tell('unbind'); session.send(pdu.response()); session.close(); });
  session.on('deliver_sm_resp', () => {});
});

const acts = {
  unbind: (session) => session.unbind(() => tell('unbound')),
  enquire: (session) => session.enquire_link(() => tell('alive')),
  cut: (session) => session.socket.destroy(),
  query: (session) => session.query_sm({ message_id: '1', source_addr: '1' }, (pdu) => tell('nacked', { status: pdu.command_status })),
  // reads nothing any more
  pause: (session) => session.pause(),
  // writes as fast as it is read, and reads nothing itself
  flood: (session) => {
    session.pause();
    const enquiry = Buffer.from('00000010000000150000000000000001', 'hex');
    const many = Buffer.concat(Array(4096).fill(enquiry));
    const more = () => { while (session.socket.write(many)); };
    session.socket.on('drain', more);
    more();
  },
  many: (session) => {
    for (let n = 0; n < 10; n++) report(session, { source_addr: 'Acme', destination_addr: '46701740601' }, `many-${n}`);
  },
  // what a person answers
  answer: (session) => session.deliver_sm({ source_addr: '46701740601', destination_addr: 'Acme', short_message: 'canary' },
    (pdu) => tell('answered', { status: pdu.command_status })),
  rubbish: (session) => session.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
  huge: (session) => session.socket.write(Buffer.from('7fffffff000000050000000000000001', 'hex')),
  short: (session) => session.socket.write(Buffer.from('00000012000000050000000000000001ffff', 'hex')),
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { act, ...more } = JSON.parse(line);
  Object.assign(rules, more);
  if (act) for (const session of sessions) acts[act](session);
  tell('told');
}).on('close', () => process.exit());
server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => tell('listening', { port: server.address().port }));
