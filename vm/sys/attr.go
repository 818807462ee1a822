package sys

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
)

const (
	// attrSize is sizeof(union bpf_attr), commonSize the used part of struct bpf_common_attr.
	attrSize   = 168
	commonSize = 20
	// pageSize limits what user space may pass as a structure.
	pageSize = 4096
)

// attr is a structure of user space as the kernel sees it: cut or filled with zeros to the size that the kernel knows.
type attr struct {
	bytes [attrSize]byte
	user  []byte // what the caller passed
}

// take follows bpf_check_uarg_tail_zero: a longer structure must be zero where the kernel knows no fields.
func (a *attr) take(user []byte, size int) error {
	if len(user) > pageSize {
		return refuse(abi.E2BIG, "attributes of %d bytes", len(user))
	}
	for i := size; i < len(user); i++ {
		if user[i] != 0 {
			return refuse(abi.E2BIG, "byte %d of the attributes is not known", i)
		}
	}
	a.user = user
	copy(a.bytes[:size], user)
	return nil
}

func (a *attr) u32(off int) uint32 { return binary.LittleEndian.Uint32(a.bytes[off:]) }
func (a *attr) u64(off int) uint64 { return binary.LittleEndian.Uint64(a.bytes[off:]) }
func (a *attr) fd(off int) int     { return int(int32(a.u32(off))) }

// put writes a field back to the caller; EFAULT if the caller's structure ends before it.
func (a *attr) put(off int, v uint32) error {
	if off+4 > len(a.user) {
		return refuse(abi.EFAULT, "no room for a result at byte %d of the attributes", off)
	}
	binary.LittleEndian.PutUint32(a.user[off:], v)
	return nil
}

// name follows bpf_obj_name_cpy.
func (a *attr) name(off int) (string, error) { return objName(a.bytes[off : off+NameLen]) }

func objName(b []byte) (string, error) {
	for i, c := range b {
		switch {
		case c == 0:
			return string(b[:i]), nil
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.':
		default:
			return "", refuse(abi.EINVAL, "name %q: only letters, digits, '_' and '.' are allowed", b[:i+1])
		}
	}
	return "", refuse(abi.EINVAL, "name %q: longer than %d bytes", b, len(b)-1)
}

// refusal is why the kernel says no: an error number and words for those who can read them.
type refusal struct {
	errno abi.Errno
	text  string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.errno }

func refuse(e abi.Errno, format string, args ...any) error {
	return &refusal{e, fmt.Sprintf(format, args...)}
}

// Refuse makes an error of a provider (StructOpsType, Options.Verify): an error number for the caller, and words that do not
// repeat it.
func Refuse(e abi.Errno, format string, args ...any) error { return refuse(e, format, args...) }

// Errno is the error number in err, EINVAL if there is none, 0 for nil.
func Errno(err error) abi.Errno {
	if err == nil {
		return 0
	}
	var e abi.Errno
	if errors.As(err, &e) && e != 0 {
		return e
	}
	return abi.EINVAL
}

// asError is e as an error, nil for 0.
func asError(e abi.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}
