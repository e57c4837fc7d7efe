package store

import "gorm.io/gorm"

// DB gives tests the tables themselves.
func (s *Store) DB() *gorm.DB { return s.db }
