package sys

import "encoding/binary"

// Records of lines are eight times as long as what is in them: each is one of 16 bytes that differs little from the one before.
// Once a program runs, only messages and those who ask for them need them.

// packRecords writes records of size bytes as the differences of their words, from one record to the next.
func packRecords(recs []byte, size int) []byte {
	var out []byte
	last := make([]byte, size)
	for ; len(recs) >= size; recs = recs[size:] {
		for i := 0; i < size; i += 4 {
			d := int32(binary.LittleEndian.Uint32(recs[i:]) - binary.LittleEndian.Uint32(last[i:]))
			out = binary.AppendVarint(out, int64(d))
		}
		last = recs[:size]
	}
	return out
}

// unpackRecords is the inverse of packRecords.
func unpackRecords(packed []byte, size int) []byte {
	var out []byte
	last := make([]byte, size)
	for len(packed) > 0 {
		for i := 0; i < size; i += 4 {
			d, n := binary.Varint(packed)
			packed = packed[n:]
			out = binary.LittleEndian.AppendUint32(out, binary.LittleEndian.Uint32(last[i:])+uint32(d))
		}
		last = out[len(out)-size:]
	}
	return out
}
