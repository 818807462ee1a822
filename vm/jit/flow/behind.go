package flow

import "github.com/schedsim/schedsim/vm/abi"

// Caller is what Behind needs of a machine.
type Caller[L any] interface {
	NewLabel() L
	Bind(L)
	Jmp(L)
	// Later puts code behind the program.
	Later(func())
	// CallGo calls fn for instruction i, before which owed instructions are still to count; they are afterwards too.
	CallGo(i int32, fn abi.Func, owed int32)
}

// Behind is code behind the program that calls a function which is not called on the straight way. It is made when it is first
// asked for.
type Behind[L any] struct {
	// Before and After are code around the call, nil: none.
	Before, After func()
	// Join is where the straight way goes on.
	Join L

	m    Caller[L]
	i    int32
	fn   abi.Func
	owed int32
	at   L
	made bool
}

// NewBehind prepares the call of fn by instruction i, before which owed instructions are still to count.
func NewBehind[L any](m Caller[L], i int32, fn abi.Func, owed int32) *Behind[L] {
	return &Behind[L]{m: m, i: i, fn: fn, owed: owed, Join: m.NewLabel(), at: m.NewLabel()}
}

// Call is where the code is.
func (b *Behind[L]) Call() L {
	if b.made {
		return b.at
	}
	b.made = true
	b.m.Later(func() {
		b.m.Bind(b.at)
		if b.Before != nil {
			b.Before()
		}
		b.m.CallGo(b.i, b.fn, b.owed)
		if b.After != nil {
			b.After()
		}
		b.m.Jmp(b.Join)
	})
	return b.at
}
