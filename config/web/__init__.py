"""What all pages share: middleware, error pages, language, style sheet, uploads and the template context."""
