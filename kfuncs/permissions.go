package kfuncs

import (
	"fmt"

	"github.com/schedsim/schedsim/ops/kernels"
)

// Permissions say when it is asked whether a callback may call a kernel function.
type Permissions uint8

// The ways of enforcing permissions.
const (
	// PermissionsKernel is what the kernel does: from 7.1 on when a program is loaded, before that when a function is called.
	PermissionsKernel Permissions = iota
	PermissionsLoad               // when a program is loaded
	PermissionsRun                // when a function is called
	PermissionsBoth
)

// permissionNames are those of the command line, by Permissions.
var permissionNames = [...]string{"kernel", "load", "run", "both"}

// String is the name on the command line.
func (p Permissions) String() string { return permissionNames[p] }

// ParsePermissions reads "kernel", "load", "run" or "both"; "" is the kernel's way.
func ParsePermissions(s string) (Permissions, error) {
	if s == "" {
		return PermissionsKernel, nil
	}
	for i, name := range permissionNames {
		if s == name {
			return Permissions(i), nil
		}
	}
	return 0, fmt.Errorf("%q: expected kernel, load, run or both", s)
}

// filtered tells whether k has scx_kfunc_context_filter.
func filtered(k *kernels.Kernel) bool { return k.Code >= 0x070100 }

// atLoad tells whether loading asks, atRun whether calls do.
func (p Permissions) atLoad(k *kernels.Kernel) bool {
	return p == PermissionsLoad || p == PermissionsBoth || p == PermissionsKernel && filtered(k)
}

func (p Permissions) atRun(k *kernels.Kernel) bool {
	return p == PermissionsRun || p == PermissionsBoth || p == PermissionsKernel && !filtered(k)
}
