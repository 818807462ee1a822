package sim

import (
	"fmt"
	"strconv"
)

// Errno is an error number with which the simulated kernel refuses what user space asks for; 0 is success.
type Errno int32

// The error numbers that operations on the machine return.
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
)

// Error is the text that user space prints for e.
func (e Errno) Error() string {
	switch e {
	case ENOENT:
		return "no such file or directory"
	case ESRCH:
		return "no such process"
	case ENOMEM:
		return "cannot allocate memory"
	case EBUSY:
		return "device or resource busy"
	case EEXIST:
		return "file exists"
	case ENODEV:
		return "no such device"
	case EINVAL:
		return "invalid argument"
	case ENOSPC:
		return "no space left on device"
	case ERANGE:
		return "numerical result out of range"
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
