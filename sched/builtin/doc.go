// Package builtin is the list of the policies that are part of schedsim.
package builtin
