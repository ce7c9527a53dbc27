// AttentionView: the drawing of attention_drawing.js (joined before this), of the widget's own model.

export default { render: drawAttention };
