package reports

import "google.golang.org/protobuf/encoding/protowire"

// wire is a protobuf message under construction.
type wire []byte

func (b *wire) uint(field protowire.Number, v uint64) {
	*b = protowire.AppendVarint(protowire.AppendTag(*b, field, protowire.VarintType), v)
}

// int writes an int32 or int64 field: negative numbers are ten bytes.
func (b *wire) int(field protowire.Number, v int64) { b.uint(field, uint64(v)) }

func (b *wire) str(field protowire.Number, s string) {
	*b = protowire.AppendString(protowire.AppendTag(*b, field, protowire.BytesType), s)
}

func (b *wire) msg(field protowire.Number, m wire) {
	*b = protowire.AppendBytes(protowire.AppendTag(*b, field, protowire.BytesType), m)
}
