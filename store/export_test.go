package store

import "gorm.io/gorm"

// DB gives tests the tables themselves.
func (s *Store) DB() *gorm.DB { return s.db }

// WithWork is the query of LoadBalancersWithWork, which has one parameter.
const WithWork = withWork
