package sim

import (
	"fmt"
	"strconv"
)

// Errno is an error number with which the simulated kernel refuses what user space asks for; 0 is success.
type Errno int32

// The error numbers that operations on the machine return. A scheduler's callbacks may return others.
const (
	ENOENT Errno = 2
	ESRCH  Errno = 3
	ENOMEM Errno = 12
	EBUSY  Errno = 16
	EEXIST Errno = 17
	ENODEV Errno = 19
	EINVAL Errno = 22
	ENOSPC Errno = 28
	ERANGE Errno = 34

	etimedout Errno = 110
)

// errnoTexts is what user space prints for error numbers that operations on the machine, maps and helpers return.
var errnoTexts = map[Errno]string{1: "operation not permitted", ENOENT: "no such file or directory", ESRCH: "no such process",
	7: "argument list too long", 9: "bad file descriptor", 11: "resource temporarily unavailable", ENOMEM: "cannot allocate memory",
	13: "permission denied", 14: "bad address", EBUSY: "device or resource busy", EEXIST: "file exists", ENODEV: "no such device",
	EINVAL: "invalid argument", ENOSPC: "no space left on device", ERANGE: "numerical result out of range",
	35: "resource deadlock avoided", 95: "operation not supported"}

// Error is the text that user space prints for e.
func (e Errno) Error() string {
	if t := errnoTexts[e]; t != "" {
		return t
	}
	return "errno " + strconv.Itoa(int(e))
}

// OpError is the refusal of an operation that user space asked for, such as a write to a file of a cgroup.
type OpError struct {
	Op    string // what was asked: "mkdir /web"
	Errno Errno
	Why   string // more than the error number says; "" for nothing
}

// Error is one line.
func (e *OpError) Error() string {
	if e.Why == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Errno)
	}
	return fmt.Sprintf("%s: %v (%s)", e.Op, e.Errno, e.Why)
}

// Unwrap returns the error number, for errors.Is.
func (e *OpError) Unwrap() error { return e.Errno }
