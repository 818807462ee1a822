package ops

import "github.com/schedsim/schedsim/vm/abi"

// ArgKind is the type of a callback argument.
type ArgKind uint8

// Argument kinds. Scalars are 64-bit slots of the argument block; pointers are trusted.
const (
	ArgScalar ArgKind = iota
	ArgTask
	ArgTaskNullable
	ArgCPUMask
	ArgCMask
	ArgCgroup
	ArgStruct // a pointer to the struct named in Arg.Type
)

// Arg is one argument of a callback.
type Arg struct {
	Name string
	Kind ArgKind
	Type string // C type, as the kernel spells it
}

// Row is what is known of one callback.
type Row struct {
	ID Callback
	// Name is the member of struct sched_ext_ops, CIDName that of struct sched_ext_ops_cid; "" where it has none.
	Name, CIDName string
	Args          []Arg
	Ret           string // C type; "void" for none
	// Sleepable tells that a sleepable program may implement it.
	Sleepable bool
	// Allows are the groups of kfuncs that may be called from it, beside those allowed everywhere (scx_kf_allow_flags).
	Allows abi.Groups
}
