// Byte-level BPE as underglass.tokenizers.BPE does it: text to token ids and back.
//
//   tokenizer.encode(text)    -> [ids]; a special token written out in the text is text like any other,
//                                and half of a surrogate pair counts as U+FFFD, as browsers write it
//   tokenizer.decode(ids)     -> text; bytes that are no whole character become U+FFFD
//   tokenizer.piece(id)       -> the token as it is shown: \xe2 is a byte of a cut character
//   tokenizer.bytes(id)       -> its bytes
//   tokenizer.special         -> {name: id}
//   tokenizer.size            -> how many tokens there are

class Tokenizer {
  /**
   * @param {{ bytes: number[], special: Object<string, number>, unassigned: [number, number][] }} header
   * @param {Uint16Array} merges pairs of ids, in the order in which they were learned
   */
  constructor({ bytes, special, unassigned }, merges) {
    this.special = special;
    this.tokens = bytes.map((byte) => Uint8Array.of(byte));
    // 65536 left + right -> the token that both become.
    this.made = new Map();
    for (let i = 0; i < merges.length; i += 2) {
      const [left, right] = [merges[i], merges[i + 1]], [a, b] = [this.tokens[left], this.tokens[right]];
      this.made.set(65536 * left + right, this.tokens.length);
      const joined = new Uint8Array(a.length + b.length);
      joined.set(a);
      joined.set(b, a.length);
      this.tokens.push(joined);
    }
    for (const [name, id] of Object.entries(special)) this.tokens[id] = new TextEncoder().encode(name);
    this.size = this.tokens.length;
    this.names = new Map(Object.entries(special).map(([name, id]) => [id, name]));
    this.idOfByte = new Uint16Array(256);
    bytes.forEach((byte, id) => { this.idOfByte[byte] = id; });
    // GPT-2's words. White space is Unicode's, which JavaScript's \s is not; and what Unicode added after version 16 counts as no letter and no digit.
    this.words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
    const escaped = (code) => `\\u{${code.toString(16)}}`;
    this.later = new RegExp(`[${unassigned.map((ends) => ends.map(escaped).join("-")).join("")}]`, "gu");
    // Word -> ids: a text repeats its words.
    this.kept = new Map();
  }

  encode(text) {
    const whole = text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
    const seen = whole.replace(this.later, (letter) => "\uffff".repeat(letter.length)), ids = [];
    for (const { 0: word, index } of seen.matchAll(this.words)) ids.push(...this.word(whole.slice(index, index + word.length)));
    return ids;
  }

  /** The ids of one word: wherever the two stand side by side whose merge was learned first, they become one; again, until none can. */
  word(word) {
    const known = this.kept.get(word);
    if (known) return known;
    let ids = Array.from(new TextEncoder().encode(word), (byte) => this.idOfByte[byte]);
    for (;;) {
      // None for the last, which has no neighbour.
      const made = ids.map((id, i) => this.made.get(65536 * id + ids[i + 1]) ?? Infinity);
      const first = made.reduce((least, id) => Math.min(least, id), Infinity), merged = [];
      if (first === Infinity) break;
      for (let i = 0; i < ids.length; i++) merged.push(made[i] === first ? (i++, first) : ids[i]);
      ids = merged;
    }
    if (this.kept.size > 20000) this.kept.clear();
    this.kept.set(word, ids);
    return ids;
  }

  bytes(id) {
    if (!this.tokens[id]) throw new RangeError(`id=${id}: expected 0 to ${this.size - 1}`);
    return this.tokens[id];
  }

  decode(ids) {
    const all = ids.map((id) => this.bytes(id)), joined = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const bytes of all) { joined.set(bytes, at); at += bytes.length; }
    // Without ignoreBOM, U+FEFF in front would be lost.
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(joined);
  }

  piece(id) {
    const bytes = this.bytes(id), strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    let text = "";
    for (let at = 0, length; at < bytes.length; at += length) {
      let letter = "";
      for (length = 1; length <= 4; length++) {
        try { letter = strict.decode(bytes.subarray(at, at + length)); break; } catch { /* no whole character yet */ }
      }
      if (!letter) length = 1;
      text += letter || `\\x${bytes[at].toString(16).padStart(2, "0")}`;
    }
    return text;
  }
}
