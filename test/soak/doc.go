// Package soak is the soak test.
package soak
