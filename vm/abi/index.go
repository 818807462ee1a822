package abi

// Index is a hash table of chains in Go's memory, in a form that engines of machine code can follow: what a program does
// cannot change it.
type Index struct {
	// Buckets has a power of two of elements: the place in Elems of the first element of each chain, negative where it ends.
	// The bucket of a hash is its low bits.
	Buckets []int32
	Elems   []IndexElem
}

// IndexElem is one element of an Index.
type IndexElem struct {
	Next int32 // place of the next element of the chain, negative at its end
	Hash uint32
	// Addr is the address of the element in simulated memory. Key is its key if that is a number of 4 or 8 bytes.
	Addr, Key uint64
}

// The constants of the hash of maps; see engine.Table.
const (
	HashXor = 0xa0761d6478bd642f
	HashMul = 0xe7037ed1a0b428db
)
