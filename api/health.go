package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// healthy says that the process is up; it touches nothing.
func (s *server) healthy(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "up"}) }

// ready says whether calls can be taken.
func (s *server) ready(c *gin.Context) {
	err := s.Ready()
	if err == nil {
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
		return
	}
	reasons := reasonsOf(err)
	answer := &Error{Code: CodeUnavailable, Message: "The controller is not ready: " + strings.Join(reasons, "; ")}
	c.Set(keyError, answer)
	c.AbortWithStatusJSON(answer.status(), gin.H{"error": answer, "reasons": reasons})
}

// reasonsOf takes apart what errors.Join has put together.
func reasonsOf(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error }) // only the outermost one is a list of reasons
	if !ok {
		return []string{err.Error()}
	}
	var reasons []string
	for _, each := range joined.Unwrap() {
		reasons = append(reasons, each.Error())
	}
	return reasons
}
