// Raw deflate (RFC 1951) for browsers without DecompressionStream("deflate-raw").
function inflate(input) {
  let at = 0,
    bits = 0,
    held = 0,
    out = new Uint8Array(Math.max(1024, input.length * 6)),
    length = 0;
  const need = (count) => {
    while (held < count) {
      if (at >= input.length) throw new Error("deflate: data ends early");
      bits |= input[at++] << held;
      held += 8;
    }
  };
  const take = (count) => {
    if (!count) return 0;
    need(count);
    const value = bits & ((1 << count) - 1);
    bits >>>= count;
    held -= count;
    return value;
  };
  const push = (byte) => {
    if (length === out.length) {
      const more = new Uint8Array(out.length * 2);
      more.set(out);
      out = more;
    }
    out[length++] = byte;
  };
  // A code is kept as the number of its words of each length, and the symbols in the order of their words.
  const build = (lengths) => {
    const counts = new Uint16Array(16),
      offsets = new Uint16Array(16),
      symbols = new Uint16Array(lengths.length);
    for (const one of lengths) counts[one] += 1;
    counts[0] = 0;
    for (let i = 1; i < 16; i += 1) offsets[i] = offsets[i - 1] + counts[i - 1];
    lengths.forEach((one, symbol) => {
      if (one) symbols[offsets[one]++] = symbol;
    });
    return { counts, symbols };
  };
  const decode = (code) => {
    let word = 0,
      first = 0,
      index = 0;
    for (let i = 1; i < 16; i += 1) {
      word |= take(1);
      const count = code.counts[i];
      if (word - count < first) return code.symbols[index + (word - first)];
      index += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    throw new Error("deflate: no such code word");
  };
  const BASE = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ];
  const EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
  const FAR = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
  ];
  const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
  const fixed = () => {
    const lengths = [];
    for (let i = 0; i < 288; i += 1) lengths.push(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
    return [build(lengths), build(new Array(30).fill(5))];
  };
  const dynamic = () => {
    const literals = take(5) + 257,
      distances = take(5) + 1,
      count = take(4) + 4,
      first = new Array(19).fill(0),
      lengths = [];
    for (let i = 0; i < count; i += 1) first[ORDER[i]] = take(3);
    const code = build(first);
    while (lengths.length < literals + distances) {
      const symbol = decode(code);
      if (symbol < 16) {
        lengths.push(symbol);
        continue;
      }
      const value = symbol === 16 ? lengths[lengths.length - 1] : 0;
      let repeat = symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7);
      while (repeat--) lengths.push(value);
    }
    return [build(lengths.slice(0, literals)), build(lengths.slice(literals))];
  };
  let last = 0;
  while (!last) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) {
      bits = 0;
      held = 0;
      const count = input[at] | (input[at + 1] << 8);
      at += 4;
      for (let i = 0; i < count; i += 1) push(input[at++]);
      continue;
    }
    const [literals, distances] = kind === 1 ? fixed() : dynamic();
    for (;;) {
      const symbol = decode(literals);
      if (symbol < 256) {
        push(symbol);
        continue;
      }
      if (symbol === 256) break;
      let count = BASE[symbol - 257] + take(EXTRA[symbol - 257]);
      const far = decode(distances),
        distance = FAR[far] + take(far < 4 ? 0 : (far >> 1) - 1);
      while (count--) push(out[length - distance]);
    }
  }
  return out.subarray(0, length);
}
