package api

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
)

func (s *server) availabilityZoneRoutes(v1 *gin.RouterGroup) {
	v1.GET("/availability-zone-capabilities", func(c *gin.Context) {
		c.JSON(http.StatusOK, capabilities.AvailabilityZoneCapabilities())
	})
	v1.POST("/availability-zones/validate", s.validateMetadata(capabilities.CheckAvailabilityZone))
}

// validateMetadata answers 204 if the metadata of a flavor or zone, which is the body, has no problem.
func (s *server) validateMetadata(check func(map[string]any) []capabilities.Problem) gin.HandlerFunc {
	return func(c *gin.Context) {
		data, err := body(c)
		if err != nil {
			s.refuse(c, err)
			return
		}
		metadata, err := wire.Metadata(data)
		if err != nil {
			s.refuse(c, notMetadata(data, err))
			return
		}
		if problems := check(metadata); len(problems) > 0 {
			s.refuse(c, unservable(problems, pathsBelow("", problems)))
			return
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
	}
}

// notMetadata is a body that holds no object. Operators give Octavia any JSON at all, which it passes on, and it answers
// only options that are not supported with a sentence.
func notMetadata(data []byte, err error) *Error {
	answer := malformed(err)
	if answer.Code == CodeInvalid && json.Valid(data) {
		answer.Code = CodeUnsupportedOption
		separator := " "
		if answer.Field != "" {
			separator = " is wrong: "
		}
		answer.Message = "The metadata" + separator + answer.Message + "."
	}
	return answer
}
