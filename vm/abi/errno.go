package abi

import "strconv"

// Errno is a Linux error number: what helpers, kfuncs and map operations return negated.
type Errno int64

// The error numbers that the kernel's BPF code returns.
const (
	EPERM   Errno = 1
	ENOENT  Errno = 2
	EIO     Errno = 5
	ENXIO   Errno = 6
	E2BIG   Errno = 7
	EBADF   Errno = 9
	EAGAIN  Errno = 11
	ENOMEM  Errno = 12
	EACCES  Errno = 13
	EFAULT  Errno = 14
	EBUSY   Errno = 16
	EEXIST  Errno = 17
	EINVAL  Errno = 22
	EMFILE  Errno = 24
	ENOSPC  Errno = 28
	ERANGE  Errno = 34
	EDEADLK Errno = 35

	ENAMETOOLONG Errno = 36
	ENODATA      Errno = 61
	ENOLINK      Errno = 67
	EPROTO       Errno = 71
	EOVERFLOW    Errno = 75
	EBADFD       Errno = 77
	EOPNOTSUPP   Errno = 95
	EINPROGRESS  Errno = 115
	ECANCELED    Errno = 125
	ENOTSUPP     Errno = 524
)

// Ret is the errno as a function returns it: negated, 0 for none.
func (e Errno) Ret() uint64 { return uint64(-e) }

var errnoNames = map[Errno]string{EPERM: "EPERM", ENOENT: "ENOENT", EIO: "EIO", E2BIG: "E2BIG", EBADF: "EBADF", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM",
	EACCES: "EACCES", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", EINVAL: "EINVAL", ENOSPC: "ENOSPC",
	ERANGE: "ERANGE", EDEADLK: "EDEADLK", ENODATA: "ENODATA", EOVERFLOW: "EOVERFLOW", EOPNOTSUPP: "EOPNOTSUPP",
	ENOTSUPP: "ENOTSUPP", ENXIO: "ENXIO", EMFILE: "EMFILE", ENAMETOOLONG: "ENAMETOOLONG", ENOLINK: "ENOLINK",
	EPROTO: "EPROTO", EBADFD: "EBADFD", EINPROGRESS: "EINPROGRESS",
	ECANCELED: "ECANCELED"}

// Error is the kernel's name of e.
func (e Errno) Error() string {
	if s, ok := errnoNames[e]; ok {
		return s
	}
	return "errno " + strconv.FormatInt(int64(e), 10)
}
