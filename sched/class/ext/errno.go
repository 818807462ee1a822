package ext

import "strconv"

// errnoText names an errno for a human.
func errnoText(errno int32) string {
	switch errno {
	case ENOENT:
		return "no such file or directory"
	case ENOMEM:
		return "cannot allocate memory"
	case EBUSY:
		return "device or resource busy"
	case EINVAL:
		return "invalid argument"
	}
	return "errno " + strconv.Itoa(int(errno))
}
